"""Paths that operators write. Pure."""

from pathlib import Path


def absolute(text: str, project: Path) -> Path:
    """`text` with `~` as the user's home; a relative path begins in `project`, wherever a command is called from.

    Raises ValueError for quotes and variables, which no shell has replaced, and for the home of an unknown user.
    """
    if set(text) & set("\"'\0") or text.startswith("$"):
        raise ValueError(text)
    try:
        return project / Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(text) from error
