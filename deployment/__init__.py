"""Deployment to AWS: the package, the stages, the deploy, its checks. Not a part of the service."""
