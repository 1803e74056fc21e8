"""The functions that Zappa calls (`callbacks` in zappa_settings.json).

`zappa deploy`, `zappa update` and `zappa package` thereby ship the same package and know the account, whoever types
them. Zappa loads this file by its path, so that only here the checkout has to be put on the import path.
"""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from click.exceptions import ClickException

_ROOT = str(Path(__file__).resolve().parent.parent)
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

from deployment import archive, assembly, mapping, stages  # noqa: E402 - they lie in the checkout
from deployment.policy import WEB, WORKER, Place  # noqa: E402 - the same

# Commands that make or change a function, and those that only need its queue.
_CHANGES = ("deploy", "update")
_KNOWS_EVENTS = ("schedule", "unschedule", "undeploy")
_REFUSALS = (stages.NotReady, mapping.MappingBroken, BotoCoreError, ClientError)


def settings(cli: Any) -> None:
    """After zappa_settings.json was read: set what it leaves open."""
    cli.zappa.architecture = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    command = cli.command
    if cli.api_stage not in (WEB, WORKER):
        raise ClickException(f"{cli.api_stage} is no stage, but the common part of web and worker.")
    if command not in (*_CHANGES, *_KNOWS_EVENTS):
        return
    try:
        place = _place(cli)
        stage = _stage(cli)
        if command in _KNOWS_EVENTS:
            cli.override_stage_config_setting("events", stages.events(stage, os.environ, place))
        else:
            _tell(cli, stages.plan(stage, os.environ, place))
    except _REFUSALS as error:
        raise ClickException(str(error)) from error


def zip(cli: Any) -> None:  # noqa: A001 - Zappa's name of this moment
    """After Zappa made its zip, which contains only its own handler (`exclude`): replace it by the package."""
    package = Path(cli.zip_path)
    try:
        assembly.assemble_in_a_process(package)
    except assembly.NotAssembled as error:
        raise ClickException(str(error)) from error
    if cli.command in _CHANGES and (problems := archive.platform_problems(package)):
        raise ClickException(f"It would not run on Lambda: {problems[0]}")


def post(cli: Any) -> None:
    """After a deploy or an update."""
    if cli.api_stage != WORKER:
        return
    try:
        mapping.complete(
            cli.zappa.lambda_client,
            cli.lambda_name,
            stages.queue_arn(os.environ, _place(cli)),
            concurrency=stages.worker_concurrency(os.environ),
        )
    except _REFUSALS as error:
        raise ClickException(str(error)) from error


def _place(cli: Any) -> Place:
    region = cli.zappa.boto_session.region_name
    if not region:
        raise stages.NotReady(f"{stages.REGION_MISSING} is not set.")
    identity = cli.zappa.sts_client.get_caller_identity()
    return Place(region, identity["Account"], identity["Arn"].split(":")[1])


def _stage(cli: Any) -> stages.Stage:
    file = cli.stage_config
    return stages.Stage(
        cli.api_stage, cli.lambda_name, file.get("aws_environment_variables", {}), file.get("events", [])
    )


def _tell(cli: Any, plan: stages.Plan) -> None:
    cli.aws_environment_variables = plan.variables
    cli.s3_bucket_name = plan.deploy_bucket
    cli.vpc_config = plan.vpc
    cli.override_stage_config_setting("events", plan.events)
    cli.zappa.attach_policy = json.dumps(plan.policy)
