"""Which uploads this user began at which server, so that a second run sends only what is missing."""

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

# The server keeps parts for a day.
_KEPT_SECONDS = 2 * 24 * 3600


def cache_folder() -> Path:
    """The user's own, by the rules of the XDG base directories: a relative path counts as none."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "mlserve" / "uploads"


class RememberedUploads:
    """A file per upload, which holds its id. Where the folder cannot be written, more bytes are sent than needed.

    A file that a crash left half written holds an id that the server does not know.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder()

    def recall(self, server_url: str, sha256: str) -> str | None:
        """The id of the upload of these bytes to this server."""
        with suppress(OSError, UnicodeDecodeError):
            return self._file(server_url, sha256).read_text("ascii").strip() or None
        return None

    def remember(self, server_url: str, sha256: str, upload_id: str) -> None:
        with suppress(OSError, UnicodeEncodeError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for file in self._folder.iterdir():
                if file.stat().st_mtime < time.time() - _KEPT_SECONDS:
                    file.unlink(missing_ok=True)
            self._file(server_url, sha256).write_text(upload_id, "ascii")

    def forget(self, server_url: str, sha256: str) -> None:
        with suppress(OSError):
            self._file(server_url, sha256).unlink(missing_ok=True)

    def _file(self, server_url: str, sha256: str) -> Path:
        return self._folder / hashlib.sha256(f"{server_url}\n{sha256}".encode()).hexdigest()
