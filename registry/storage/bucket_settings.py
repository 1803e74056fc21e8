"""A table of the settings that a bucket for artifacts must have, and the request that corrects each.

Statements and rules that others added to the policy and the lifecycle stay, and so do stricter settings.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_TLS_ONLY = "OnlyWithTls"

Found = dict[str, Any]


@dataclass(frozen=True)
class Bucket:
    """`origins` are the sites whose pages may send parts; None: the sites that are set already, or any site."""

    name: str
    partition: str
    uses_tls: bool = True
    origins: Sequence[str] | None = None


@dataclass(frozen=True)
class Rule:
    """`setting` is its name in S3's API; `request` makes what to put there, or None when what was found will do."""

    fault: str
    setting: str
    request: Callable[[Bucket, Found], Found | None]


def _public_access(_bucket: Bucket, found: Found) -> Found | None:
    wanted = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    is_met = found.get("PublicAccessBlockConfiguration") == wanted
    return None if is_met else {"PublicAccessBlockConfiguration": wanted}


def _ownership(_bucket: Bucket, found: Found) -> Found | None:
    wanted = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    return None if found.get("OwnershipControls") == wanted else {"OwnershipControls": wanted}


def _encryption(_bucket: Bucket, found: Found) -> Found | None:
    """Any algorithm that the bucket has already will do."""
    rules = found.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    if any(rule.get("ApplyServerSideEncryptionByDefault") for rule in rules):
        return None
    by_default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    return {"ServerSideEncryptionConfiguration": {"Rules": [by_default]}}


def _versioning(_bucket: Bucket, found: Found) -> Found | None:
    is_met = found.get("Status") == "Enabled"
    return None if is_met else {"VersioningConfiguration": {"Status": "Enabled"}}


def _policy(bucket: Bucket, found: Found) -> Found | None:
    """Storage that is used without TLS would refuse every request."""
    policy: Found = {"Version": "2012-10-17", "Statement": [], **json.loads(found.get("Policy") or "{}")}
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    wanted = _tls_statement(bucket)
    if not bucket.uses_tls or wanted in statements:
        return None
    others = [statement for statement in statements if statement.get("Sid") != _TLS_ONLY]
    return {"Policy": json.dumps({**policy, "Statement": [*others, wanted]})}


def _tls_statement(bucket: Bucket) -> Found:
    arn = f"arn:{bucket.partition}:s3:::{bucket.name}"
    return {
        "Sid": _TLS_ONLY,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _cors(bucket: Bucket, found: Found) -> Found | None:
    """The pre-signed address is what allows a page to send a part; this only tells browsers so."""
    rules = found.get("CORSRules", [])
    if bucket.origins is None and any(
        "PUT" in rule.get("AllowedMethods", ()) and "ETag" in rule.get("ExposeHeaders", ()) for rule in rules
    ):
        return None
    wanted = {
        "AllowedOrigins": list(bucket.origins or ("*",)),
        "AllowedMethods": ["PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3600,
    }
    return None if rules == [wanted] else {"CORSConfiguration": {"CORSRules": [wanted]}}


def _lifecycle(_bucket: Bucket, found: Found) -> Found | None:
    rules = found.get("Rules", [])
    if all(wanted in rules for wanted in _LIFECYCLE):
        return None
    ours = {wanted["ID"] for wanted in _LIFECYCLE}
    others = [rule for rule in rules if rule.get("ID") not in ours]
    return {"LifecycleConfiguration": {"Rules": [*others, *_LIFECYCLE]}}


_EVERYTHING = {"Status": "Enabled", "Filter": {"Prefix": ""}}
_LIFECYCLE = (
    # An upload is open for a day.
    {"ID": "mlserve-unfinished-uploads", **_EVERYTHING, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}},
    {
        "ID": "mlserve-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": "uploads/"},
        "Expiration": {"Days": 2},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
    },
    # What was put into predictions and what they gave: deleted means deleted. Of two rules S3 takes the shorter one.
    {
        "ID": "mlserve-predictions",
        "Status": "Enabled",
        "Filter": {"Prefix": "predictions/"},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
    },
    {
        "ID": "mlserve-old-versions",
        **_EVERYTHING,
        "Expiration": {"ExpiredObjectDeleteMarker": True},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
    },
)
RULES = (
    Rule("may be opened to the public", "public_access_block", _public_access),
    Rule("lets whoever writes an object own it", "bucket_ownership_controls", _ownership),
    Rule("does not encrypt by default", "bucket_encryption", _encryption),
    Rule("does not keep versions", "bucket_versioning", _versioning),
    Rule("lets itself be used without TLS", "bucket_policy", _policy),
    Rule("does not let browsers send parts of an upload", "bucket_cors", _cors),
    Rule("keeps unfinished uploads and old versions for ever", "bucket_lifecycle_configuration", _lifecycle),
)
