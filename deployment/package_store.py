"""Packages in the bucket, by the digest of their bytes: uploaded once, kept for the other stage and for a rollback."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from deployment.account import Absent, Account
from deployment.findings import NotKnown
from deployment.policy import PACKAGES

_KEPT = 5
_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Package:
    """`sha256` as hexadecimal digits."""

    sha256: str
    size_bytes: int

    @property
    def key(self) -> str:
        return f"{PACKAGES}{self.sha256}.zip"

    @property
    def code(self) -> str:
        """As Lambda names it: CodeSha256."""
        return base64.b64encode(bytes.fromhex(self.sha256)).decode()


def package_of_code(code: str) -> Package:
    """The package with Lambda's CodeSha256 `code`; its size is not known."""
    return Package(base64.b64decode(code).hex(), 0)


def read(path: Path) -> Package:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return Package(digest.hexdigest(), path.stat().st_size)


def upload(account: Account, bucket: str, path: Path, package: Package) -> bool:
    """Whether it had to be uploaded. A killed upload leaves nothing under the key."""
    if is_there(account, bucket, package):
        return False
    account.upload(path, bucket, package.key)
    return True


def is_there(account: Account, bucket: str, package: Package) -> bool:
    try:
        found = account.ask("s3", "head_object", Bucket=bucket, Key=package.key)
    except Absent:
        return False
    return package.size_bytes in (0, found["ContentLength"])


def forget_old(account: Account, bucket: str, *, in_use: Sequence[Package]) -> int:
    """Delete all but the newest five, and none that runs; how many."""
    kept = {package.key for package in in_use}
    every = account.ask("s3", "list_objects_v2", Bucket=bucket, Prefix=PACKAGES).get("Contents", [])
    newest_first = sorted(every, key=itemgetter("LastModified"), reverse=True)
    old = [each["Key"] for each in newest_first[_KEPT:] if each["Key"] not in kept]
    for key in old:
        try:
            account.ask("s3", "delete_object", Bucket=bucket, Key=key)
        except NotKnown:
            return 0  # without the permission they stay, which costs little
    return len(old)
