"""Why the model inside of a folder or an archive is not taken. Pure."""

OF_A_STRANGER = "No tool that packs models does that. Do not use this file; ask where it is from."


class UnusableBundle(Exception):
    """The message says why, `fix` what to do."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.detail, self.fix = detail, fix


def listed(names: list[str], most: int = 8) -> str:
    """The names for a message, without characters that could change a terminal."""
    shown = ", ".join(ascii(name)[1:-1][:100] for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
