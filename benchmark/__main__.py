"""`make bench`, `python -m benchmark`: mlserve beside hand-written servers, in one run."""

import argparse
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmark import machine, report
from benchmark.plan import FULL, QUICK, WORKLOADS
from benchmark.postgres import running_cluster
from benchmark.programs import DidNotStart
from benchmark.session import Session, say
from benchmark.systems import ROOT


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmark",
        description="Starts mlserve and the same model served by hand-written FastAPI and Celery apps, puts the same "
        "loads on each in turns, and prints one JSON line per result and then a table with the ratios. Everything "
        "lives in a temporary folder.",
    )
    parser.add_argument("--quick", action="store_true", help="shorter and fewer rounds, for a rough result")
    parser.add_argument(
        "--only",
        action="append",
        metavar="WORKLOAD",
        choices=[workload.name for workload in WORKLOADS],
        help="measure this workload alone; may be given several times: %(choices)s",
    )
    parser.add_argument(
        "--database",
        choices=report.DATABASES,
        default="sqlite",
        help="where mlserve stores predictions (default: sqlite). With postgres, a server of its own is started, and "
        "the hand-written servers store theirs in it, too",
    )
    parser.add_argument(
        "--stored",
        type=int,
        default=0,
        metavar="ROWS",
        help="measure also an mlserve that has this many ended predictions in its table",
    )
    parser.add_argument(
        "--json", type=Path, default=ROOT / "var" / "bench.json", metavar="FILE", help="default: var/bench.json"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables also into FILE, as docs/performance.md"
    )
    return parser.parse_args()


def main() -> int:
    """Exit status: 0, or 1 when a system did not start or answered wrongly, 130 after Ctrl-C."""
    options = _options()
    if sys.platform != "linux":
        say("The benchmark reads /proc and so needs Linux.")
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = [workload for workload in WORKLOADS if options.only is None or workload.name in options.only]
    session = Session(QUICK if options.quick else FULL, chosen, options.stored)
    described = machine.describe()
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="mlserve-bench-", ignore_cleanup_errors=True)
            )
            if options.database == "postgres":
                session.cluster = stack.enter_context(running_cluster())
                described["postgres"] = session.cluster.version()
            session.run(Path(folder))
    except DidNotStart as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("Interrupted; every server was stopped.")
        return 130
    text = report.markdown(described, session.results, options.database)
    print(f"\n{text}")
    report.write_json(options.json, described, session.results, options.database)
    if options.markdown:
        report.write_markdown(options.markdown, text, options.database)
    for failure in session.failures:
        say(f"FAILED: {failure}")
    return 1 if session.failures else 0


if __name__ == "__main__":
    sys.exit(main())
