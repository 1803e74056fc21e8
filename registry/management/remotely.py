"""`upload_model --to URL`: the same upload at a running server, from any machine that can reach its API."""

import os
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management import CommandError
from rich.filesize import decimal

from mlserve.errors import MlserveError, RemoteRefusal
from mlserve.terminal import TerminalCommand
from registry.client.address import Address, UnusableAddress, address_of, authorization_of
from registry.client.parts import send_parts
from registry.client.resume_store import RememberedUploads
from registry.client.server import RemoteServer
from registry.client.uploads import RemoteUpload, Source, followed, hashed, opened, submitted
from registry.inspection.report import CHECKS, report_from_json
from registry.inspection.version_request import VersionRequest
from registry.management.inspecting import InspectingCommand, request_from
from registry.publishing.publish import require_names

_WRONG_USAGE = 2
_GO_ON = "Run the same command again to go on."

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
                "with the scope upload, in the environment or in .env; `manage.py make_token` makes one there."
            )
        _require_secrecy(address, is_insecure=options["insecure"])
        return RemoteServer(address, authorization=authorization_of(token))
    except UnusableAddress as error:
        raise CommandError(str(error), returncode=_WRONG_USAGE) from error


def upload_to(command: InspectingCommand, options: Mapping[str, Any]) -> None:
    """Hash, send what is missing, have it inspected there, and show the report as if it had been inspected here."""
    server, artifact, asked = server_of(options), options["path"], request_from(options)
    require_names(asked.model, asked.tag, title=asked.title)
    with command.transferring(f"Hashing {artifact.name}", artifact.stat().st_size) as advance:
        source = hashed(artifact, advance)
    version = _registered(server, asked, source)
    if version is not None and not asked.changes_model:
        _say_registered(command, server, asked, version)
        return
    remembered = RememberedUploads()
    ended = _published(command, server, asked, source, remembered)
    remembered.forget(server.url, source.sha256)
    if ended.report is not None:
        command.show_report(report_from_json(ended.report))
    if ended.status != "published":
        raise _why_not(ended)
    _say_what_serves(command, server, asked, f"{asked.model} {asked.tag} registered at {server.url} {_size(source)}")


def _published(
    command: InspectingCommand,
    server: RemoteServer,
    asked: VersionRequest,
    source: Source,
    remembered: RememberedUploads,
) -> RemoteUpload:
    """The upload once it has ended, well or badly."""
    upload = opened(server, source, remembered)
    try:
        waiting = _sent(command, server, asked, source, upload)
    except RemoteRefusal as error:
        if upload.status == "open" or error.answered != 409:
            raise
        # An earlier run asked for something else than this one does, and that is under way.
        remembered.forget(server.url, source.sha256)
        waiting = _sent(command, server, asked, source, opened(server, source, remembered))
    return _watched(command, server, source, waiting)


def _sent(
    command: InspectingCommand, server: RemoteServer, asked: VersionRequest, source: Source, upload: RemoteUpload
) -> RemoteUpload:
    missing_bytes = sum(map(upload.bytes_of, upload.missing)) if upload.status == "open" else 0
    there = upload.size_bytes - missing_bytes
    if there and missing_bytes:
        command.say(f"{decimal(there)} of {decimal(upload.size_bytes)} are at the server already.")
    try:
        with command.transferring(f"Sending {source.path.name}", upload.size_bytes, done_bytes=there) as advance:
            if missing_bytes:
                send_parts(server, upload, source, advance)
        return submitted(server, upload, asked.model, [*asked.api_fields(), ("sha256", source.sha256)])
    except KeyboardInterrupt:
        command.stderr.write(f"Interrupted. What arrived stays at the server for a day. {_GO_ON}")
        raise
    except MlserveError as error:
        if not isinstance(error, RemoteRefusal):
            error.detail = f"{error.detail} What arrived stays at the server for a day. {_GO_ON}"
        raise


def _watched(command: TerminalCommand, server: RemoteServer, source: Source, upload: RemoteUpload) -> RemoteUpload:
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


def _require_secrecy(address: Address, *, is_insecure: bool) -> None:
    if address.is_encrypted or address.is_loopback or is_insecure:
        return
    raise UnusableAddress(
        f"{address.root} is not encrypted: everybody on the way could read MLSERVE_TOKEN and change the artifact. "
        "Use https://, or --insecure in a network where nobody else listens."
    )


def _registered(server: RemoteServer, asked: VersionRequest, source: Source) -> dict[str, Any] | None:
    """The version under this tag, so that nothing is sent for nothing. Raises RemoteRefusal when it is another one."""
    try:
        version = server.get("models", asked.model, "versions", asked.tag)
    except RemoteRefusal as error:
        if error.answered == 404:
            return None
        raise
    if version.get("sha256") != source.sha256:
        raise RemoteRefusal(
            f"{asked.model} {asked.tag} at {server.url} is another artifact. A version never changes: "
            "upload under a new tag.",
            answered=409,
        )
    return version


def _say_registered(
    command: InspectingCommand, server: RemoteServer, asked: VersionRequest, version: dict[str, Any]
) -> None:
    if isinstance(version.get("report"), dict):
        command.show_report(report_from_json(version["report"]))
    if asked.promote and not version.get("is_live"):
        server.post("models", asked.model, "promote", body={"tag": asked.tag})
    done = f"{asked.model} {asked.tag} was registered at {server.url} before with the same bytes"
    _say_what_serves(command, server, asked, done)
    if asked.describes_version:
        command.say("Schema, sample and form of a version never change: give others under a new tag.")


def _say_what_serves(command: TerminalCommand, server: RemoteServer, asked: VersionRequest, done: str) -> None:
    live = server.get("models", asked.model).get("live_version")
    if live == asked.tag:
        command.say(f"{done} and is live.")
        return
    command.say(f"{done}, not live yet{f' ({live} is)' if live else ''}; promote it in the admin or with")
    url = f"{server.url}/api/models/{asked.model}/promote"
    # On a line of its own, to be copied whole.
    command.stdout.write(
        f"""    curl {_HOW_CURL_ASKS[server.is_asked_by_token]} --json '{{"tag": "{asked.tag}"}}' {url}"""
    )


# Whether MLSERVE_TOKEN is an API token → how curl sends it.
_HOW_CURL_ASKS = {True: '-H "Authorization: Bearer $MLSERVE_TOKEN"', False: '-u "$MLSERVE_TOKEN"'}


def _why_not(upload: RemoteUpload) -> RemoteRefusal:
    problem = upload.problem or {}
    reason = problem.get("detail") or problem.get("title") or "The server says no more."
    return RemoteRefusal(f"The upload is {upload.status}. {reason}")


def _size(source: Source) -> str:
    return f"(sha256 {source.sha256[:12]}…, {decimal(source.size_bytes)})"
