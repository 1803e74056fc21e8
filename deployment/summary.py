"""The address of a deployed service, for a person and for the workflow that deployed it."""

from collections.abc import Mapping
from pathlib import Path

from deployment.package_store import Package


def announce(url: str, package: Package, environment: Mapping[str, str]) -> None:
    """On stdout, and in the files that GitHub Actions names."""
    print(f"\nmlserve is at {url}/", flush=True)
    lines = (
        f"### mlserve is at {url}/",
        "",
        f"- API: {url}/api/docs",
        f"- admin: {url}/admin/",
        f"- package: `{package.sha256[:12]}`, {package.size_bytes / 1e6:.1f} MB",
    )
    _append(environment.get("GITHUB_STEP_SUMMARY", ""), "\n".join(lines))
    _append(environment.get("GITHUB_OUTPUT", ""), f"url={url}")


def _append(path: str, text: str) -> None:
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
