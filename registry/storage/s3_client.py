"""How mlserve connects to S3 and to compatible storage: time limits, addresses, and errors translated to ours.

Region, address and credentials come from the usual AWS variables.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import s3transfer.exceptions
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.session import Session
from django.conf import settings
from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError

from mlserve.errors import Unavailable

_LONGEST_QUOTE = 300
# The least that S3 takes as a part, and the most parts of one upload.
_PART_BYTES, _MOST_PARTS = 5 * 2**20, 10_000
# s3transfer, which boto3 transfers with, has no base for what it raises.
_NOT_TRANSFERRED: tuple[type[Exception], ...] = (
    Boto3Error,
    S3DownloadFailedError,
    # The SDK of Lambda's own Python may be older than this name.
    getattr(s3transfer.exceptions, "S3ValidationError", S3DownloadFailedError),
)
# For what is not worth waiting for: one attempt of a few seconds.
IMPATIENT = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1})
# Each has the client's own attempts, so that a server that takes connections and never answers holds a download for
# three minutes.
_MOST_DOWNLOADS = 2
_NO_BUCKET = frozenset({"NoSuchBucket", "404"})
# S3's codes for missing or insufficient credentials and permissions. An answer to HEAD has a number only.
_REFUSED = frozenset({
    "403", "AccessDenied", "AllAccessDisabled", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken",
    "SignatureDoesNotMatch", "TokenRefreshRequired",
})  # fmt: skip
_NO_ENCRYPTION = "KMS is not configured"


class Answered(Exception):
    """An error code of S3 that the caller expects and handles."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def config() -> Config:
    """Addresses name the region, because pre-signed ones cannot follow S3's redirections. Storage that is not Amazon's
    seldom has a host name for each bucket. botocore's checksums break pre-signed addresses, and servers that do not
    know them; without these it signs the SHA-256 of each body, and S3 refuses another one.
    """
    return Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=32,
        signature_version="s3v4",
        s3={"addressing_style": "path" if endpoint_url() else "virtual"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def transfer_config() -> TransferConfig:
    """Parts that are small, because boto3 holds up to eleven of them in memory, and few enough for the largest
    artifact. boto3 asks again for a part whose answer breaks off.
    """
    least = -(-settings.MLSERVE_MAX_ARTIFACT_BYTES // _MOST_PARTS)
    part_bytes = max(_PART_BYTES, least)
    return TransferConfig(
        multipart_threshold=part_bytes,
        multipart_chunksize=part_bytes,
        max_concurrency=4,
        max_io_queue=16,
        num_download_attempts=_MOST_DOWNLOADS,
        preferred_transfer_client="classic",
    )


def new_client(region: str | None) -> Any:
    """Raises Unavailable for an invalid region or address."""
    with answering("S3 cannot be reached", "?"):
        return Session().create_client("s3", region_name=region, config=config())


def endpoint_url() -> str:
    """Of S3-compatible storage; "" for Amazon's."""
    return os.environ.get("AWS_ENDPOINT_URL_S3", "") or os.environ.get("AWS_ENDPOINT_URL", "")


def region() -> str | None:
    """None where neither a variable nor a file of AWS's names one. botocore knows AWS_DEFAULT_REGION only."""
    return os.environ.get("AWS_REGION") or Session().get_config_variable("region") or None


@contextmanager
def answering(what: str, bucket: str, *, expected: frozenset[str] = frozenset()) -> Iterator[None]:
    """What botocore raises in the block becomes Answered, for the codes that the caller expects, or Unavailable.

    `what` says what did not happen, as "The storage did not take the data".
    """
    try:
        yield
    except ClientError as error:
        problem = error.response.get("Error", {})
        code = str(problem.get("Code", ""))
        if code in expected:
            raise Answered(code) from error
        reason = _reason(code, str(problem.get("Message", "")), bucket)
        raise Unavailable(f"{what}: {reason[:_LONGEST_QUOTE]}") from error
    except NoCredentialsError as error:
        detail = f"{what}: there are no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        raise Unavailable(detail) from error
    except RetriesExceededError as error:
        detail = f"{what}: the connection broke {_MOST_DOWNLOADS} times ({error.last_exception})"
        raise Unavailable(detail[:_LONGEST_QUOTE]) from error
    except (BotoCoreError, *_NOT_TRANSFERRED, ValueError) as error:  # ValueError: an invalid AWS_ENDPOINT_URL
        raise Unavailable(f"{what}: {str(error)[:_LONGEST_QUOTE]}") from error


def _reason(code: str, message: str, bucket: str) -> str:
    said = f"{code}: {message}".strip(": ")
    if code in _NO_BUCKET:
        return (
            f"there is no bucket {bucket}. "
            f"Check MLSERVE_BUCKET, or make it: .venv/bin/python manage.py create_bucket {bucket}"
        )
    if code in _REFUSED:
        return f"S3 refused ({said}). The credentials must be allowed to list, get, put and delete in {bucket}."
    if _NO_ENCRYPTION in said:
        return f"this storage cannot encrypt ({said}). Configure its KMS, or set MLSERVE_BUCKET_ENCRYPTION=none."
    return said
