"""`manage.py admit_models`: inspect registered versions again and sign those that pass."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from mlserve.conf.command_lines import manage
from mlserve.errors import NotFound
from mlserve.terminal import TerminalCommand, shell_user
from registry.inspection.wording import in_shell
from registry.management.inspecting import add_allowance
from registry.models import Model, ModelVersion
from registry.publishing.admission import Admitted, why_not_admitted
from registry.publishing.readmission import Readmission, readmit, renew
from registry.storage.digest import Digest


class Command(TerminalCommand):
    help = (
        "Inspects registered versions again, with the sample rows and the schema of their upload, and signs those that "
        "pass every check and give the same answers: after SECRET_KEY was lost, or for versions that nobody signed. "
        "A version whose signature is right is left alone; one signed with a key in SECRET_KEY_FALLBACKS is signed "
        "with SECRET_KEY, without an inspection, so that the old key can go."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="only this model, as penguins (default: all)")
        parser.add_argument("--tag", metavar="T", help="only this version of NAME, as 1.1 (default: all)")
        parser.add_argument("--all", action="store_true", help="inspect and sign also what has a right signature")
        add_allowance(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["tag"] and not options["name"]:
            raise CommandError("--tag names a version of a model: give NAME, too.", returncode=2)
        versions = _versions(options["name"], options["tag"])
        renewed = [] if options["all"] else [done for each in versions if (done := renew(each))]
        chosen = versions if options["all"] else [each for each in versions if _needs_signature(each)]
        if not chosen and not renewed:
            self.say(_nothing_to_do(len(versions)))
            return
        readmissions = list(renewed)
        with self.counting("Inspecting", len(chosen)) as advance:
            for version in chosen:
                found = readmit(version, by=shell_user(), allow_other_versions=options["allow_other_versions"])
                readmissions.append(found)
                advance(1)
        for readmission in readmissions:
            self.say(_line(readmission))
        refused = [str(each.version) for each in readmissions if each.refusal]
        if refused:
            raise CommandError(
                f"{len(refused)} of {len(chosen)} versions were not admitted and cannot serve: {', '.join(refused)}."
            )


def _versions(name: str | None, tag: str | None) -> list[ModelVersion]:
    versions = ModelVersion.objects.select_related("model").order_by("model__name", "pk")
    if name is None:
        return list(versions)
    found = list(versions.filter(model__name=name, **({"tag": tag} if tag else {})))
    if not found and tag and Model.objects.filter(name=name).exists():
        raise NotFound(f"The model {name!r} has no version {tag!r}; {manage('list_models')} shows them.")
    if not found and not Model.objects.filter(name=name).exists():
        raise NotFound(f"There is no model {name!r}; {manage('list_models')} shows them.")
    return found


def _needs_signature(version: ModelVersion) -> bool:
    admitted = Admitted(Digest(version.sha256, version.size_bytes), version.artifact_format)
    return bool(why_not_admitted(admitted, version.admission))


def _nothing_to_do(count: int) -> str:
    if not count:
        return "No version is registered; there is nothing to admit."
    what = "The version bears" if count == 1 else f"All {count} versions bear"
    return f"{what} this service's signature already; --all inspects nevertheless."


def _line(readmission: Readmission) -> str:
    if readmission.refusal:
        return f"✗ {readmission.version} refused: {in_shell(readmission.refusal)}"
    return f"✓ {readmission.version} admitted{f', {readmission.note}' if readmission.note else ''}."
