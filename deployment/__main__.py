"""`python -m deployment deploy|rollback|undeploy|admin`: one line on stderr and exit status 1 when it was refused."""

import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from pathlib import Path

from deployment.account import Absent
from deployment.findings import NotKnown, NotYet
from deployment.steps import DeploymentFailed

_INTERRUPTED = 130
_HOW_TO_GO_ON = "make deploy goes on from here; make rollback brings older code back."


def _deploy(options: Namespace) -> None:
    from deployment.deploy import Deployment, deploy

    environment = dict(os.environ)
    if options.package:
        environment["PACKAGE"] = str(options.package.resolve())
    try:
        deploy(Deployment(environment, url=options.url, is_built=options.package is not None))
    except DeploymentFailed as error:
        raise DeploymentFailed(f"{error}\n{_HOW_TO_GO_ON}") from error


def _rollback(options: Namespace) -> None:
    from deployment.deploy import Deployment
    from deployment.rollback import rollback

    rollback(Deployment(os.environ), to=options.to)


def _undeploy(options: Namespace) -> None:
    from deployment.deploy import Deployment
    from deployment.undeploy import undeploy

    undeploy(Deployment(os.environ), is_yes=options.yes)


def _admin(options: Namespace) -> None:
    from deployment.admin import make_admin
    from deployment.deploy import Deployment

    make_admin(Deployment(os.environ), options.name)


_COMMANDS: Mapping[str, Callable[[Namespace], None]] = {
    "deploy": _deploy,
    "rollback": _rollback,
    "undeploy": _undeploy,
    "admin": _admin,
}


def _parser() -> ArgumentParser:
    parser = ArgumentParser("python -m deployment", description="mlserve on AWS Lambda; docs/deploy-aws.md explains.")
    commands = parser.add_subparsers(dest="command", required=True)
    deploy = commands.add_parser("deploy", help="from a checkout to an address; a second run updates")
    deploy.add_argument("--url", default="", help="where clients reach the service (default: API Gateway's address)")
    deploy.add_argument("--package", type=Path, metavar="ZIP", help="a package that is built (default: build one)")
    rollback = commands.add_parser("rollback", help="both functions back to the package that ran before")
    rollback.add_argument("--to", default="", metavar="SHA256", help="the first digits of the package's digest")
    undeploy = commands.add_parser("undeploy", help="remove functions, API, schedule, mapping and roles")
    undeploy.add_argument("--yes", action="store_true", help="do not ask")
    admin = commands.add_parser("admin", help="make an administrator, or give one a new password")
    admin.add_argument("name", metavar="NAME")
    return parser


def main() -> int:
    options = _parser().parse_args()
    try:
        _COMMANDS[options.command](options)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except subprocess.TimeoutExpired as error:
        print(f"error: {' '.join(map(str, error.cmd[:5]))} took longer than {error.timeout:.0f} s", file=sys.stderr)
        return 1
    except (DeploymentFailed, NotKnown, NotYet, Absent, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
