"""The zip: does Lambda accept it, does it contain a secret, and is it for a Python that Lambda has?"""

import re
import sys
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from deployment.archive import LIMIT_BYTES, platform_problems
from deployment.checking import judged
from deployment.evidence import WORKER, Evidence
from deployment.findings import Finding, NotKnown, NotYet, failed, ok, warning

_LITTLE_ROOM_BYTES = 10_000_000
# Amazon's dates from docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html as of 2026-11; after them no function
# of that runtime gets security fixes, and two months later none can be updated.
END_OF_LIFE = {
    "python3.11": date(2026, 6, 30),
    "python3.12": date(2028, 10, 31),
    "python3.13": date(2029, 6, 30),
    "python3.14": date(2029, 6, 30),
}
_SOON = timedelta(days=180)
# What a checkout contains beside the program and must never be published.
_PRIVATE = re.compile(r"(^|/)(\.env[^/]*|\.git|\.aws|id_(rsa|dsa|ecdsa|ed25519)|[^/]*\.(pem|key|sqlite3))(/|$)")
_NOT_THE_PROGRAM = re.compile(r"^(var|tests|docs|deployment|benchmark|examples)/")
_SECRETS = ("SECRET_KEY", "DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "MLSERVE_TOKEN")
_SHORTEST_SECRET = 12
# Only modules of mlserve are searched for secrets, because libraries cannot contain them.
_OURS = re.compile(r"^[^/]+\.(py|json|txt|cfg|toml|env)$|^(mlserve|registry|predictions)/.*\.py$")


def size(evidence: Evidence) -> Finding:
    with _opened(evidence) as package:
        total = sum(entry.file_size for entry in package.infolist())
    room = LIMIT_BYTES - total
    found = f"{total / 1e6:.1f} MB unzipped of {LIMIT_BYTES / 1e6:.1f} MB"
    if room < 0:
        return failed(found, "make package shows the biggest parts; past this limit only a container image helps")
    if room < _LITTLE_ROOM_BYTES:
        return warning(f"{found}, room for {room / 1e6:.1f} MB", "the next upgrade of a library may not fit")
    return ok(f"{found}, room for {room / 1e6:.1f} MB")


def without_secrets(evidence: Evidence) -> Finding:
    """File names that no package needs, and the values of this environment's secrets in files of mlserve."""
    values = {name: evidence.environment.get(name, "") for name in _SECRETS}
    values = {name: value for name, value in values.items() if len(value) >= _SHORTEST_SECRET}
    with _opened(evidence) as package:
        names = package.namelist()
        problems = [f"it contains {name}" for name in names if _is_private(name)]
        for name in filter(_OURS.search, names):
            content = package.read(name)
            held = [key for key, value in values.items() if value.encode() in content]
            problems += [f"{name} contains the value of {key}" for key in held]
    return judged(problems[:5], well="none found", fix="remove it from the checkout's program folders; make package")


def _is_private(name: str) -> bool:
    is_public = name.endswith("/cacert.pem")  # what HTTPS is checked with
    return bool((_PRIVATE.search(name) and not is_public) or _NOT_THE_PROGRAM.search(name))


def runtime(evidence: Evidence) -> Finding:
    try:
        name = str(evidence.function(WORKER).get("Runtime", ""))
        if not name:
            return ok("a container image brings its own")
    except (NotYet, NotKnown):
        name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if name not in END_OF_LIFE:
        return failed(
            f"{name} is no runtime of Lambda that mlserve knows", f"make PYTHON=python3.13 package ({_known()})"
        )
    compiled = _compiled_for(evidence)
    if compiled and compiled != name:
        return failed(f"the package is for {compiled}, the function runs {name}", "make package, then make deploy")
    end, today = END_OF_LIFE[name], datetime.now(UTC).date()
    if end - _SOON < today:
        word = "ended" if end <= today else "ends"
        return warning(f"Amazon's support of {name} {word} on {end}", f"make PYTHON=python3.13 deploy ({_known()})")
    return ok(f"{name}, supported until {end}")


def libraries(evidence: Evidence) -> Finding:
    """Whether Lambda can load them: pip installs the newest wheels for the machine that builds."""
    compiled = _compiled_for(evidence)
    if not compiled:
        _opened(evidence).close()
        return ok("nothing in it is compiled")
    problems = platform_problems(evidence.package, (3, int(compiled.removeprefix("python3."))))
    return judged(problems[:3], well=f"they run on Lambda's {compiled}", fix="make PYTHON=python3.13 package")


def _known() -> str:
    return ", ".join(END_OF_LIFE)


def _compiled_for(evidence: Evidence) -> str:
    """The Python whose extension modules the package holds, as `python3.13`; "" without a package."""
    try:
        with _opened(evidence) as package:
            for name in package.namelist():
                if found := re.search(r"\.cpython-3(\d+)-.*\.so$", name):
                    return f"python3.{found[1]}"
    except NotYet:
        pass
    return ""


def _opened(evidence: Evidence) -> zipfile.ZipFile:
    path: Path = evidence.package
    if not path.exists():
        raise NotYet(f"there is no {path.name} here: make package")
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise NotKnown(f"{path} cannot be read: {error}; make package makes it anew") from error
