"""`manage.py check_model`: the inspection of an upload, without the upload."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from mlserve.errors import ArtifactRejected, BadUpload, TagTaken
from registry.inspection.inspect import inspect
from registry.inspection.report import Report, report_from_json
from registry.inspection.unpacking import unpacked
from registry.management.inspecting import InspectingCommand, request_from
from registry.models import ModelVersion, validate_name
from registry.storage.digest import Digest, digest_of


class Command(InspectingCommand):
    help = "Inspects a pipeline as upload_model does and prints the report. Stores nothing; needs no database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--model", metavar="NAME", help="also check that NAME can name a model, as penguins")
        parser.add_argument(
            "--tag", metavar="TAG", help="also check that TAG can name a version, as 1.1, and is free in --model"
        )
        # So that the arguments of an upload can be checked as they are.
        self.add_publishing_arguments(parser.add_argument_group("taken for upload_model's sake, without effect"))
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *_args: Any, **options: Any) -> None:
        model, tag = options["model"], options["tag"]
        _require_name(model, "model name")
        _require_name(tag, "tag")
        request = request_from(options)
        name = options["path"].name
        try:
            with self.working(f"Reading {name}") as begin, unpacked(options["path"], request) as (artifact, completed):
                digest = digest_of(artifact)
                begin(f"Inspecting {name}")
                report = inspect(artifact, completed).report
        except ArtifactRejected as error:
            self._show(report_from_json(error.report), options)
            raise
        self._show(report, options)
        if not report.is_accepted:
            raise ArtifactRejected(report.summary(), report=report.as_json())
        if model and tag:
            _require_free_tag(model, tag, digest)
        if not options["json"]:
            self.say(f"{options['path']} can be uploaded: {report.summary()}.")

    def _show(self, report: Report, options: Mapping[str, Any]) -> None:
        if options["json"]:
            self.show_json(report.as_json())
        else:
            self.show_report(report)


def _require_name(value: str | None, what: str) -> None:
    try:
        if value is not None:
            validate_name(value, what)
    except ValidationError as error:
        raise BadUpload(error.messages[0]) from error


def _require_free_tag(model: str, tag: str, digest: Digest) -> None:
    taken = ModelVersion.objects.filter(model__name=model, tag=tag).exclude(sha256=digest.sha256)
    if taken.exists():
        raise TagTaken(f"{model} {tag} is another artifact. A version never changes: upload under a new tag.")
