"""What Zappa calls on its way (`callbacks` in zappa_settings.json).

`zappa deploy`, `zappa update` and `zappa package` thereby ship the same package and know the account, whoever types
them. Zappa loads this file by its path, so that only here the checkout has to be put on the import path.
"""

import sys
from pathlib import Path
from typing import Any

_ROOT = str(Path(__file__).resolve().parent.parent)
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

from deployment import assembly  # noqa: E402 - it lies in the checkout


def settings(cli: Any) -> None:
    """After zappa_settings.json was read."""


def zip(cli: Any) -> None:  # noqa: A001 - Zappa's name of this moment
    """After Zappa made its zip, which holds nothing but its own settings (`exclude`)."""
    assembly.fill(Path(cli.zip_path))


def post(cli: Any) -> None:
    """After a deploy or an update."""
