"""Which uploads this user began at which server, so that a second run sends only what is missing."""

import contextlib
import hashlib
import os
import tempfile
import time
from pathlib import Path

# The server keeps parts for a day.
_KEPT_SECONDS = 2 * 24 * 3600


def cache_folder() -> Path:
    """The user's own, by the rules of the XDG base directories: a relative path counts as none."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "mlserve" / "uploads"


class RememberedUploads:
    """A file per upload. Where the folder cannot be written nothing is remembered, which costs only bytes."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder()

    def recall(self, server_url: str, sha256: str) -> str | None:
        """The id of the upload of these bytes to this server."""
        try:
            return self._file(server_url, sha256).read_text("ascii").strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    def remember(self, server_url: str, sha256: str, upload_id: str) -> None:
        with contextlib.suppress(OSError, UnicodeEncodeError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._forget_old()
            descriptor, temporary = tempfile.mkstemp(dir=self._folder)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f"{upload_id}\n")
            Path(temporary).replace(self._file(server_url, sha256))

    def forget(self, server_url: str, sha256: str) -> None:
        with contextlib.suppress(OSError):
            self._file(server_url, sha256).unlink(missing_ok=True)

    def _file(self, server_url: str, sha256: str) -> Path:
        return self._folder / hashlib.sha256(f"{server_url}\n{sha256}".encode()).hexdigest()

    def _forget_old(self) -> None:
        oldest = time.time() - _KEPT_SECONDS
        for file in self._folder.iterdir():
            if file.stat().st_mtime < oldest:
                file.unlink(missing_ok=True)
