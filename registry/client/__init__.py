"""Uploads to another server over its API, as `upload_model --to` sends them. Door: `uploads`."""
