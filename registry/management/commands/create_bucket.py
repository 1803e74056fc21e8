"""`manage.py create_bucket NAME`."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from mlserve.terminal import TerminalCommand
from registry.storage import buckets
from registry.storage.buckets import Made


class Command(TerminalCommand):
    help = (
        "Makes the S3 bucket for artifacts: private, encrypted, versioned, public access blocked, reached by TLS only; "
        "what an upload left behind is deleted after two days, old versions after ninety, those of inputs and results "
        "after one. A bucket that is yours already is brought to that state."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="of the bucket: unique in all of S3")
        parser.add_argument("--region", help="of AWS (default: AWS_REGION or AWS_DEFAULT_REGION)")
        parser.add_argument(
            "--origin",
            action="append",
            type=_origin,
            dest="origins",
            metavar="URL",
            help="a site whose pages may send parts of an upload, as https://models.example.org; may be repeated "
            "(default: any site, for what allows a part to be sent is its pre-signed address)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        made = buckets.create(options["name"], region=options["region"], origins=options["origins"])
        self.say(_sentence(made))
        if made.lacking:
            self.say(f"This storage does not offer everything: the bucket {'; it '.join(made.lacking)}.")
        if made.name != settings.MLSERVE_BUCKET:
            self.say(f"Set MLSERVE_BUCKET={made.name} for the web server and the workers.")


def _sentence(made: Made) -> str:
    name = f"Bucket {made.name} ({made.region})"
    if made.is_new:
        return f"{name}: made."
    if made.corrected:
        return f"{name}: yours already. Corrected: it {'; it '.join(made.corrected)}."
    return f"{name}: yours already, as it should be."


def _origin(text: str) -> str:
    parts = urlsplit(text)
    is_origin = parts.scheme in {"http", "https"} and parts.netloc and text == f"{parts.scheme}://{parts.netloc}"
    if text != "*" and not is_origin:
        raise ArgumentTypeError(f"{text!r} is no origin: https://models.example.org, without a path")
    return text
