"""Uploaded files as paths, for as long as an upload takes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import UploadedFile

from mlserve.errors import BadUpload, TooLarge
from mlserve.processes.temporary_folders import temporary_folder
from mlserve.units import size_text
from registry.schema.options import any_of
from registry.schema.row_files import SUFFIXES

# Of a schema, a sample, expected answers or a form that goes through the web server, beside an artifact that does not.
MAX_SMALL_FILE_BYTES = 5 * 2**20
_SUFFIXES = {"schema": (".py", ".json"), "sample": SUFFIXES, "expected": SUFFIXES, "form": (".json",)}


@contextmanager
def received(files: Mapping[str, Any], *, most_bytes: int | None = None) -> Iterator[dict[str, Path]]:
    """The uploaded files named artifact, schema, sample, expected and form, as far as they are there.

    They are in a temporary folder, which is deleted when the block ends. Raises BadUpload for a name that tells no
    known kind, and TooLarge for a file of more than `most_bytes`.
    """
    with temporary_folder("upload") as folder:
        paths = {}
        for name, file in files.items():
            if not file:
                continue
            if most_bytes is not None and (file.size or 0) > most_bytes:
                raise TooLarge(f"The {name} file is larger than {size_text(most_bytes)}. Send a smaller one.")
            paths[name] = _saved(folder, name, file)
        yield paths


def _saved(folder: Path, name: str, file: "UploadedFile[Any]") -> Path:
    """The file under a name of ours: the uploader's may hold anything but the suffix that we look at."""
    suffix = Path(file.name or "").suffix.lower()
    allowed = _SUFFIXES.get(name)
    if allowed is not None and suffix not in allowed:
        raise BadUpload(f"The {name} file must end in {any_of(allowed)}; this one is {file.name!r}. Save it so.")
    path = folder / f"{name}{suffix if allowed else ''}"
    with path.open("wb") as target:
        for chunk in file.chunks():
            target.write(chunk)
    return path
