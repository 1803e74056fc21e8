"""The AWS account and region, and whether all clocks agree."""

from deployment.evidence import Evidence, sound
from deployment.findings import Finding, NotKnown, failed, ok, warning

# AWS refuses signatures that are five minutes off. A lease is compared between machines, and has seconds to spare.
_MOST_SECONDS, _WORTH_A_WORD_SECONDS = 10.0, 2.0


def credentials(evidence: Evidence) -> Finding:
    account = evidence.account
    if not account.has_credentials:
        return failed(
            "no AWS credentials",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (aws configure writes one)",
        )
    return ok(f"{account.identity['Arn']}")


def region(evidence: Evidence) -> Finding:
    planned = evidence.environment.get("AWS_DEFAULT_REGION")
    try:
        found = evidence.account.region
    except NotKnown as error:
        return failed(str(error), "set AWS_DEFAULT_REGION to where bucket, queue and database are")
    return ok(found if planned else f"{found}, by the profile")


def clock(evidence: Evidence, stage: str) -> Finding:
    """Measured with the answers that contain it, so that their transfer time does not count."""
    self_report = evidence.self_report(stage)
    skews = {
        "AWS and this machine": float(evidence.account.identity["skew_seconds"]),
        "the function and this machine": float(self_report["skew_seconds"]),
        "the function and the database": float(sound(self_report, "database").get("skew_seconds", 0.0)),
    }
    worst = max(skews, key=lambda between: skews[between])
    if skews[worst] > _MOST_SECONDS:
        return failed(
            f"the clocks of {worst} differ by {skews[worst]:.0f} s",
            "set them by NTP: leases that end at the wrong moment predict a row twice; AWS refuses after 300 s",
        )
    if skews[worst] > _WORTH_A_WORD_SECONDS:
        return warning(f"the clocks of {worst} differ by {skews[worst]:.1f} s", "set them by NTP")
    return ok(f"no two differ by more than {_WORTH_A_WORD_SECONDS:.0f} s")
