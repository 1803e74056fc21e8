"""`manage.py upload_model`: inspect an artifact, store it and register it as a version, here or at a running server."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import CommandError

from mlserve.access.audit import log_action
from mlserve.conf.command_lines import manage
from mlserve.errors import ArtifactRejected
from mlserve.terminal import shell_user
from mlserve.units import size_text
from registry.inspection.inspect import Inspected, inspect
from registry.inspection.report import report_from_json
from registry.inspection.version_request import VersionRequest
from registry.management.inspecting import InspectingCommand, request_from
from registry.management.remotely import add_remote_arguments, upload_to
from registry.models import ModelVersion
from registry.publishing.publish import Published, publish


class Command(InspectingCommand):
    help = (
        "Inspects a fitted scikit-learn pipeline, stores it and registers it as a version of a model. "
        "Nothing is stored when a check fails. The same bytes under the same tag again change nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--model", required=True, metavar="NAME", help="name of the model, as penguins; made when it is new"
        )
        parser.add_argument("--tag", required=True, metavar="TAG", help="name of this version, as 1.1; never reused")
        self.add_publishing_arguments(parser)
        add_remote_arguments(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["to"]:
            upload_to(self, options)
            return
        if options["insecure"]:
            raise CommandError("--insecure is about --to URL, which is absent.", returncode=2)
        self._upload_here(options)

    def _upload_here(self, options: dict[str, Any]) -> None:
        request = request_from(options)
        live = ModelVersion.objects.live().filter(model__name=request.model)
        live_before = live.values_list("tag", flat=True).first()
        try:
            published = self._publish(options["path"], request)
        except ArtifactRejected as error:
            self.show_report(report_from_json(error.report))
            raise
        if published.created:
            log_action(shell_user(), published.version, f"Uploaded, {published.report.summary()}.", is_new=True)
        self.show_report(published.report)
        self.say(f"{_what_was_done(published)}{_what_serves(published.version, live_before)}")
        if not published.version.is_live:
            # On a line of its own, to be copied whole.
            self.stdout.write(f"    {manage('promote_model', request.model, request.tag)}")
        if not published.created and request.describes_version:
            self.say(
                "Schema, sample, expected answers and form of a version never change: give others under a new tag."
            )

    def _publish(self, artifact: Path, request: VersionRequest) -> Published:
        """publish(), with its current stage on the terminal."""
        with self.working(f"Hashing {artifact.name}") as begin:

            def inspect_and_tell(artifact: Path, request: VersionRequest) -> Inspected:
                begin(f"Inspecting {artifact.name}")
                inspected = inspect(artifact, request)
                begin(f"Storing {artifact.name}")
                return inspected

            return publish(artifact, request, by=shell_user(), inspect=inspect_and_tell)


def _what_was_done(published: Published) -> str:
    version = published.version
    done = "registered" if published.created else "was registered before with the same bytes"
    return f"{version} {done} (sha256 {version.sha256[:12]}…, {size_text(version.size_bytes)})"


def _what_serves(version: ModelVersion, live_before: str | None) -> str:
    if not version.is_live:
        return f", not live yet{f' ({live_before} is)' if live_before else ''}; promote it with"
    if live_before == version.tag:
        return " and is live already."
    return f" and is live now; {live_before or 'no version'} was before."
