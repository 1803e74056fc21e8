"""Creates the bucket for artifacts, compares its settings with the required ones, and corrects them.

Settings that S3-compatible storage does not offer are left out, and named.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlserve.errors import BadParameter, Conflict
from registry.storage import s3_client
from registry.storage.bucket_settings import RULES, Bucket, Found, Rule
from registry.storage.s3_client import Answered, answering

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
# The one region whose name S3 does not take when a bucket is made, nor gives afterwards.
_FIRST_REGION = "us-east-1"
# What S3 calls a setting that was never made.
_UNSET = frozenset({
    "NoSuchPublicAccessBlockConfiguration", "OwnershipControlsNotFoundError", "NoSuchBucketPolicy",
    "ServerSideEncryptionConfigurationNotFoundError", "NoSuchCORSConfiguration", "NoSuchLifecycleConfiguration",
})  # fmt: skip
_NOT_OFFERED = frozenset({
    "NotImplemented", "MethodNotAllowed", "501", "405",
    "VersioningNotConfigured",  # the Versity S3 Gateway's, without a folder for versions
})  # fmt: skip
_PLAIN_HTTP = "lets itself be used without TLS (AWS_ENDPOINT_URL begins with http://)"


@dataclass(frozen=True)
class Made:
    """What `create` did: `corrected` are the faults of an existing bucket, `lacking` those that cannot be corrected."""

    name: str
    region: str
    is_new: bool
    corrected: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


def create(name: str, *, region: str | None = None, origins: Sequence[str] | None = None) -> Made:
    """Make the bucket or correct its settings; safe to repeat. `origins` are the sites whose pages may send parts.

    Raises BadParameter, Conflict for a bucket of another account or in another region, or Unavailable.
    """
    _check_name(name)
    region = region or _default_region()
    client = s3_client.new_client(region)
    is_new = _ensure(client, name, region)
    bucket, corrected, lacking = _described(client, name, origins), [], []
    for rule in RULES:
        try:
            if _mend(client, bucket, rule):
                corrected.append(rule.fault)
        except Answered:
            lacking.append(rule.fault)
    if not bucket.uses_tls:
        lacking.append(_PLAIN_HTTP)
    return Made(name, region, is_new, () if is_new else tuple(corrected), tuple(lacking))


def problems_of(name: str, *, region: str | None = None) -> list[str]:
    """What `create` would correct, as sentences. Raises Unavailable when S3 does not answer."""
    client = s3_client.new_client(region or s3_client.region())
    bucket, problems = _described(client, name), []
    for rule in RULES:
        try:
            if rule.request(bucket, _found(client, bucket, rule)) is not None:
                problems.append(f"{name} {rule.fault}")
        except Answered:
            continue  # the storage does not offer the setting
    return problems


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadParameter(
            f"{name!r} cannot be the name of a bucket: 3 to 63 small letters, digits and hyphens, with a letter or "
            "digit at both ends. Dots are allowed by S3, but break TLS."
        )


def _default_region() -> str:
    if region := s3_client.region() or (_FIRST_REGION if s3_client.endpoint_url() else None):
        return region
    raise BadParameter("Say in which region: --region eu-central-1, for instance, or AWS_DEFAULT_REGION.")


def _described(client: Any, name: str, origins: Sequence[str] | None = None) -> Bucket:
    uses_tls = not s3_client.endpoint_url().startswith("http://")
    return Bucket(name, client.meta.partition, uses_tls=uses_tls, origins=origins)


def _ensure(client: Any, name: str, region: str) -> bool:
    """Whether the bucket is new. Only the answer to `create_bucket` says whether an existing one is ours."""
    was_there = _is_there(client, name)
    place = {} if region == _FIRST_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    taken = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
    try:
        with answering(f"Bucket {name} cannot be made", name, expected=taken):
            client.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerEnforced", **place)
    except Answered as error:
        if error.code == "BucketAlreadyExists":
            raise Conflict(
                f"A bucket {name} belongs to somebody else: names are unique in all of S3. Choose another one."
            ) from error
        was_there = True
    if was_there:
        _require_region(client, name, region)
    return not was_there


def _is_there(client: Any, name: str) -> bool:
    """Also one of another account, in any region."""
    try:
        with answering(f"Bucket {name} cannot be looked for", name, expected=frozenset({"404", "403", "301"})):
            client.head_bucket(Bucket=name)
    except Answered as error:
        return error.code != "404"
    return True


def _require_region(client: Any, name: str, region: str) -> None:
    with answering(f"Bucket {name}: its region cannot be read", name):
        found = client.get_bucket_location(Bucket=name).get("LocationConstraint")
    if not found and s3_client.endpoint_url():
        return  # storage that is not Amazon's seldom has regions
    if (found or _FIRST_REGION) != region:
        found = found or _FIRST_REGION
        raise Conflict(f"Bucket {name} is yours already, but in {found}, not in {region}. Say --region {found}.")


def _mend(client: Any, bucket: Bucket, rule: Rule) -> bool:
    """Whether the setting had to be corrected. Raises Answered where the storage does not offer it."""
    request = rule.request(bucket, _found(client, bucket, rule))
    if request is None:
        return False
    with answering(
        f"Bucket {bucket.name} {rule.fault}, and that cannot be changed", bucket.name, expected=_unoffered()
    ):
        getattr(client, f"put_{rule.setting}")(Bucket=bucket.name, **request)
    return True


def _found(client: Any, bucket: Bucket, rule: Rule) -> Found:
    """{} when the setting was never made. Raises Answered where the storage does not offer it."""
    what = f"Bucket {bucket.name}: it cannot be read whether it {rule.fault}"
    try:
        with answering(what, bucket.name, expected=_UNSET | _unoffered()):
            found: Found = getattr(client, f"get_{rule.setting}")(Bucket=bucket.name)
    except Answered as error:
        if error.code in _UNSET:
            return {}
        raise
    return found


def _unoffered() -> frozenset[str]:
    return _NOT_OFFERED if s3_client.endpoint_url() else frozenset()
