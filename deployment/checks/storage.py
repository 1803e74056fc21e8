"""The artifacts' bucket."""

from deployment.account import Absent
from deployment.checking import judged, told
from deployment.evidence import Evidence
from deployment.findings import Finding, NotYet


def bucket(evidence: Evidence) -> Finding:
    name = evidence.bucket
    try:
        evidence.account.ask("s3", "head_bucket", Bucket=name)
    except Absent as error:
        raise NotYet(f"there is no bucket {name}") from error
    from registry.storage import buckets

    return judged(
        told(buckets.problems_of, name),
        well=f"{name}: private, encrypted, versioned",
        fix=f".venv/bin/python manage.py create_bucket {name}",
    )
