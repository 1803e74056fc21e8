"""Commands as they are printed for people, who paste them into a shell. Pure."""

import shlex
import sys
from pathlib import Path

_PROJECT = Path(__file__).resolve().parent.parent.parent
# In texts for people elsewhere, such as answers of the API: they have another folder.
MANAGE = ".venv/bin/python manage.py"


def manage(*arguments: str) -> str:
    """A command of manage.py for the shell that this process was called from, without blanks in front or after it."""
    is_usual = Path.cwd() == _PROJECT and Path(sys.executable).parent == _PROJECT / ".venv" / "bin"
    command = MANAGE.split() if is_usual else [sys.executable, str(_PROJECT / "manage.py")]
    return shlex.join([*command, *arguments])
