"""Artifacts and other objects under keys made from their digests: on disk or in S3. Door: `artifacts`."""
