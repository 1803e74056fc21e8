"""Where the parts of an upload go before they are an artifact: to this server's disk, or to the bucket directly."""

from pathlib import Path

from django.core.files.storage import FileSystemStorage, storages

from registry.multipart.disk import DiskTransfer
from registry.multipart.parts import Transfer


def current_transfer() -> Transfer:
    """The one that fits the artifact storage."""
    storage = storages["artifacts"]
    if isinstance(storage, FileSystemStorage):
        return DiskTransfer(Path(storage.location))
    from registry.multipart.s3 import S3Transfer  # boto3 costs a web process a tenth of a second

    return S3Transfer(storage)
