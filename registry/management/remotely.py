"""`upload_model --to URL`: the same upload at a running server, from any machine that can reach its API."""

import os
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management import CommandError

from mlserve.errors import ArtifactRejected, MlserveError, RemoteRefusal
from mlserve.terminal import TerminalCommand
from mlserve.units import size_text
from registry.client.address import UnusableAddress, address_of, authorization_of
from registry.client.parts import delivered
from registry.client.resume_store import RememberedUploads
from registry.client.server import RemoteServer
from registry.client.uploads import OnBytes, RemoteUpload, Source, followed, hashed, registered_there
from registry.inspection.report import CHECKS, report_from_json
from registry.inspection.unpacking import unpacked
from registry.inspection.version_request import VersionRequest
from registry.management.inspecting import InspectingCommand, request_from
from registry.publishing.publish import require_names

_WRONG_USAGE = 2
_GO_ON = "What arrived stays at the server for a day. Run the same command again to go on."

_STEPS: Mapping[str, str] = {
    "waiting": "Waiting for a worker",
    "fetching": "The worker fetches {}",
    "verifying": "The worker verifies {}",
    "inspecting": "The worker inspects {}",
    "storing": "The worker stores {}",
}


def add_remote_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        metavar="URL",
        help="upload to the running server at this address, as https://mlserve.example.com, with the API token in "
        "MLSERVE_TOKEN (or name:password); an interrupted upload goes on when the command is run again",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="with --to: send the token over http:// too, for anyone to read"
    )


def server_of(options: Mapping[str, Any]) -> RemoteServer:
    """The server that `--to` names. Raises CommandError, wrong usage, when it cannot be asked or should not be."""
    try:
        address = address_of(options["to"])
        token = os.environ.get("MLSERVE_TOKEN", "")
        if not token.strip():
            raise UnusableAddress(
                f"MLSERVE_TOKEN is not set: {address.root} wants to know who uploads. Set it to an API token "
                "with the scope upload, in the environment or in .env; "
                "`.venv/bin/python manage.py make_token` makes one there."
            )
        if not (address.is_secret or options["insecure"]):
            raise UnusableAddress(
                f"{address.root} is not encrypted: everybody on the way could read MLSERVE_TOKEN and change the "
                "artifact. Use https://, or --insecure in a network where nobody else listens."
            )
        return RemoteServer(address, authorization=authorization_of(token))
    except UnusableAddress as error:
        raise CommandError(str(error), returncode=_WRONG_USAGE) from error


def upload_to(command: InspectingCommand, options: Mapping[str, Any]) -> None:
    """Hash, send what is missing, have it inspected there, and show the report as if it had been inspected here."""
    server, request = server_of(options), request_from(options)
    require_names(request.model, request.tag, title=request.title)
    with _unpacked(command, options["path"], request) as (artifact, completed):
        _upload(command, server, artifact, completed)


@contextmanager
def _unpacked(command: InspectingCommand, path: Path, request: VersionRequest) -> Iterator[tuple[Path, VersionRequest]]:
    """What the server gets of a folder or an archive is a plain upload: the file in it, with its schema and sample."""
    try:
        with unpacked(path, request) as (artifact, completed):
            if completed.origin is not None:
                command.say(str(completed.origin))
            yield artifact, completed
    except ArtifactRejected as error:
        command.show_report(report_from_json(error.report))
        raise


def _upload(command: InspectingCommand, server: RemoteServer, artifact: Path, request: VersionRequest) -> None:
    with command.transferring(f"Hashing {artifact.name}", artifact.stat().st_size) as advance:
        source = hashed(artifact, advance)
    version = registered_there(server, request, source)
    if version is not None and not request.changes_model:
        _say_registered(command, server, request, version)
        return
    remembered = RememberedUploads()
    sent = delivered(server, source, request, remembered, partial(_sending, command, source))
    ended = _followed(command, server, source, sent)
    remembered.forget(server.url, source.sha256)
    if ended.report is not None:
        command.show_report(report_from_json(ended.report))
    if ended.status != "published":
        reason = (ended.problem or {}).get("detail") or "The server says no more."
        raise RemoteRefusal(f"The upload is {ended.status}. {reason}")
    size = f"(sha256 {source.sha256[:12]}…, {size_text(source.size_bytes)})"
    _say_what_serves(command, server, request, f"{request.model} {request.tag} registered at {server.url} {size}")


@contextmanager
def _sending(command: TerminalCommand, source: Source, upload: RemoteUpload) -> Iterator[OnBytes]:
    there = upload.size_bytes - upload.missing_bytes
    if there and upload.missing_bytes:
        command.say(f"{size_text(there)} of {size_text(upload.size_bytes)} are at the server already.")
    try:
        with command.transferring(f"Sending {source.path.name}", upload.size_bytes, done_bytes=there) as advance:
            yield advance
    except KeyboardInterrupt:
        command.stderr.write(f"Interrupted. {_GO_ON}")
        raise
    except MlserveError as error:
        if not isinstance(error, RemoteRefusal):
            error.detail = f"{error.detail} {_GO_ON}"
        raise


def _followed(command: TerminalCommand, server: RemoteServer, source: Source, upload: RemoteUpload) -> RemoteUpload:
    name = source.path.name
    try:
        with command.working(_stage(upload, name)) as begin:
            return followed(server, upload, lambda seen: begin(_stage(seen, name)))
    except KeyboardInterrupt:
        command.stderr.write("Interrupted. The inspection goes on at the server; the same command follows it again.")
        raise


def _stage(upload: RemoteUpload, name: str) -> str:
    """What the server does now, with the checks that are done."""
    stage = _STEPS.get(str(upload.progress.get("step", "waiting")), "The worker is at work on {}").format(name)
    done = [each for each in upload.progress.get("checks") or () if isinstance(each, dict)]
    if not done:
        return stage
    latest = done[-1]
    question = CHECKS.get(str(latest.get("name")), "")
    return f"{stage}: {len(done)} of {len(CHECKS)} checks, {question} ({latest.get('status')})"


def _say_registered(
    command: InspectingCommand, server: RemoteServer, request: VersionRequest, version: dict[str, Any]
) -> None:
    if isinstance(version.get("report"), dict):
        command.show_report(report_from_json(version["report"]))
    if request.promote and not version.get("is_live"):
        server.post("models", request.model, "promote", body={"tag": request.tag})
    done = f"{request.model} {request.tag} was registered at {server.url} before with the same bytes"
    _say_what_serves(command, server, request, done)
    if request.describes_version:
        command.say("Schema, sample, expected answers and form of a version never change: give others under a new tag.")


def _say_what_serves(command: TerminalCommand, server: RemoteServer, request: VersionRequest, done: str) -> None:
    live = server.get("models", request.model).get("live_version")
    if live == request.tag:
        command.say(f"{done} and is live.")
        return
    command.say(f"{done}, not live yet{f' ({live} is)' if live else ''}; promote it in the admin or with")
    url = f"{server.url}/api/models/{request.model}/promote"
    account = '-H "Authorization: Bearer $MLSERVE_TOKEN"' if server.is_asked_by_token else '-u "$MLSERVE_TOKEN"'
    # On a line of its own, to be copied whole.
    command.stdout.write(f"""    curl {account} --json '{{"tag": "{request.tag}"}}' {url}""")
