"""One stage by way of Zappa, in a process of its own: `python -m deployment.zappa_stage deploy worker SETTINGS KEY`.

What Zappa does here: role, function, API, schedule and mapping, from zappa_settings.json. What it is kept from:
building and uploading the package again for each stage, taking an API that is missing for one that needs no update,
and asking the internet for a newer Zappa. The caller checks AWS afterwards, because Zappa's exit status says little.
"""

import sys
from collections.abc import Callable
from typing import Any

from zappa.cli import ZappaCLI

# Zappa has no types; what is overridden keeps its names.


class StageWithPackage(ZappaCLI):  # type: ignore[misc]
    """`key` is the package's key in the bucket, to which it was uploaded already."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def create_package(self, output: Any = None, use_zappa_release: Any = None) -> None:
        self.zip_path, self.handler_path = self._key, None

    def load_settings(self, settings_file: Any = None, session: Any = None) -> Any:
        zappa = super().load_settings(settings_file, session)
        zappa.upload_to_s3 = _without(zappa.upload_to_s3, self._key)
        zappa.update_stack = _also_creating(zappa.update_stack)
        return zappa

    def callback(self, position: str) -> None:
        if position != "zip":  # the package is as it should be
            super().callback(position)

    def check_venv(self) -> None:
        """Nothing is packaged."""

    def check_for_update(self) -> None:
        """The locked version is intended."""

    def remove_uploaded_zip(self) -> None:
        """The package stays for the other stage and for a rollback."""


def _without(upload: Callable[..., bool], key: str) -> Callable[..., bool]:
    """Zappa's upload, for anything but the package (its template for CloudFormation)."""

    def uploaded(source_path: str, *arguments: Any, **options: Any) -> bool:
        return source_path == key or upload(source_path, *arguments, **options)

    return uploaded


def _also_creating(update_stack: Callable[..., None]) -> Callable[..., None]:
    """A deploy that was killed after the function was made left no API, and `zappa update` would not make one."""

    def updated(*arguments: Any, **options: Any) -> None:
        update_stack(*arguments, **{**options, "update_only": False})

    return updated


def main(command: str, stage: str, settings: str, key: str) -> None:
    StageWithPackage(key).handle([command, stage, "--settings_file", settings, "--disable_progress"])


if __name__ == "__main__":
    main(*sys.argv[1:])
