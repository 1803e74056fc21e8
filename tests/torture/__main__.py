"""`make torture`, `python -m tests.torture`: inject faults into the real service under load, and count."""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from tests.flows.service import ROOT
from tests.torture import faults, report
from tests.torture.faults import BY_NAME, Fault
from tests.torture.journal import Journal
from tests.torture.session import Session, read_log
from tests.torture.system import LONG, SHORT, System

# What a developer has set for a server must not change what happens here.
_CLEARED = ("MLSERVE_", "AWS_", "DATABASE_URL", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS")
_SECRET_KEY = "only-for-torture-and-long-enough-for-every-check-of-its-length"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture",
        description="Starts the service in a temporary folder, asks it for predictions all the time, and does to it "
        "whatever can happen to a service. After each fault and at the end every accepted prediction must be there, "
        "have ended exactly once, and with the right answer. Exit status 1 when one is not.",
    )
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--store", choices=("disk", "s3"), help="default: disk with SQLite, s3 (moto) with PostgreSQL")
    parser.add_argument("--queue", choices=("orm", "redis"), help="default: orm with SQLite, redis with PostgreSQL")
    parser.add_argument("--minutes", type=float, default=10, help="each fault happens at least once (default: 10)")
    parser.add_argument("--seed", type=int, help="the same faults in the same order (default: another one each time)")
    parser.add_argument("--faults", type=_faults, metavar="NAME,…", help=f"only these: {', '.join(BY_NAME)}")
    parser.add_argument("--short", action="store_true", help="some faults, each once and for a short time")
    parser.add_argument("--json", type=Path, default=ROOT / "var" / "torture.json", help="default: var/torture.json")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables into FILE, as docs/reliability.md"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the journal and the logs there")
    return parser.parse_args()


def _faults(text: str) -> list[Fault]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in BY_NAME]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(BY_NAME)}")
    return [BY_NAME[name] for name in names]


def main() -> int:
    """Exit status: 0, 1 when something was lost or wrong, 2 when it cannot run here, 130 after Ctrl-C."""
    options = _options()
    if lacking := _lacking(options):
        print(lacking, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith(_CLEARED)]:
        del os.environ[name]
    os.environ.update({"DEBUG": "1", "SECRET_KEY": _SECRET_KEY})
    with tempfile.TemporaryDirectory(prefix="mlserve-torture-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user when this is root
        try:
            return _run(options, Path(folder))
        except KeyboardInterrupt:
            print("Interrupted; everything was stopped.")
            return 130


def _lacking(options: argparse.Namespace) -> str:
    if sys.platform != "linux":
        return "The torture reads /proc and so needs Linux."
    options.store = options.store or ("s3" if options.database == "postgres" else "disk")
    options.queue = options.queue or ("redis" if options.database == "postgres" else "orm")
    if options.queue == "redis" and not (shutil.which("redis-server") or shutil.which("valkey-server")):
        return "redis-server is not installed: apt-get install redis-server, or choose --queue orm"
    return ""


def _run(options: argparse.Namespace, folder: Path) -> int:
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    pace = SHORT if options.short else LONG
    chosen = options.faults or [BY_NAME[name] for name in (faults.SHORT if options.short else BY_NAME)]
    print(f"SEED={seed} DATABASE={options.database} storage {options.store}, queue {options.queue}", flush=True)
    with Journal(folder / "journal.jsonl") as journal:
        system = System(
            folder, journal, database=options.database, store=options.store, queue=options.queue, pace=pace,
            has_clock=any(fault.name.startswith("clock") for fault in chosen),
        )  # fmt: skip
        with closing(system):
            try:
                session = Session(system, journal, seed=seed, pace=pace)
                result = session.run(chosen, 0 if options.short else options.minutes * 60)
            finally:
                if options.keep:
                    _keep(folder, options.keep)
                if journal.violations:
                    print(read_log(folder))
    print(f"\n{report.table(result)}")
    report.write_json(options.json, result)
    if options.markdown:
        report.write_markdown(options.markdown, result)
    for violation in result.violations:
        print(f"VIOLATION: {violation}")
    return 1 if result.violations else 0


def _keep(folder: Path, kept: Path) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    for path in (*folder.glob("*.jsonl"), *folder.rglob("*.log"), *folder.rglob("torture.sqlite3*")):
        shutil.copy(path, kept)


if __name__ == "__main__":
    sys.exit(main())
