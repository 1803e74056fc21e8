"""Uploaded files as paths, for as long as an upload takes."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import UploadedFile

from mlserve.errors import BadUpload, TooLarge
from registry.inspection.inspect import Submission, schema_source

# Of a schema, a sample or a form that goes through the web server, beside an artifact that does not.
MAX_SMALL_FILE_BYTES = 5 * 2**20
_SUFFIXES = {"schema": (".py", ".json"), "sample": (".csv", ".json"), "form": (".json",)}


@contextmanager
def submission_of(files: Mapping[str, Any], *, class_name: str = "") -> Iterator[Submission]:
    """A Submission from uploaded files named artifact, schema, sample and form; all but the first optional.

    `class_name` is the pydantic class in a schema that is a Python file (default RawData). The files lie in a
    temporary folder until the block ends. Raises BadUpload for a name that tells no known kind.
    """
    with tempfile.TemporaryDirectory(prefix="mlserve-upload-") as folder:
        paths = {name: _saved(Path(folder), name, file) for name, file in files.items() if file}
        yield submission_from(paths, class_name=class_name)


def submission_from(paths: Mapping[str, Path], *, class_name: str = "") -> Submission:
    """A Submission from files on this disk, named as for `submission_of`. Raises BadUpload."""
    schema = schema_source(str(paths["schema"])) if "schema" in paths else None
    if schema is not None and schema.kind == "pydantic" and class_name:
        schema = replace(schema, class_name=class_name)
    return Submission(
        artifact=paths["artifact"],
        schema=schema,
        sample=paths.get("sample"),
        form_config=form_config_of(paths["form"]) if "form" in paths else None,
    )


def small_files(files: Mapping[str, Any]) -> dict[str, bytes]:
    """The contents of what comes along with an artifact that was sent before, by a file name of ours.

    Raises BadUpload for what an inspection could not read at all, and TooLarge.
    """
    contents = {}
    with tempfile.TemporaryDirectory(prefix="mlserve-upload-") as folder:
        for name, file in files.items():
            if not file:
                continue
            if (file.size or 0) > MAX_SMALL_FILE_BYTES:
                raise TooLarge(f"The {name} file is larger than {MAX_SMALL_FILE_BYTES} bytes. Send a smaller one.")
            path = _saved(Path(folder), name, file)
            if name == "form":
                form_config_of(path)
            contents[path.name] = path.read_bytes()
    return contents


def form_config_of(path: Path) -> dict[str, Any]:
    """The form configuration in a file. Raises BadUpload."""
    from registry.schema.form_config import parse_form_config  # pydantic costs a web process a tenth of a second

    try:
        return parse_form_config(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadUpload(f"{path.name} cannot be read as UTF-8 text: {error}.") from error


def _saved(folder: Path, name: str, file: "UploadedFile[Any]") -> Path:
    """The file under a name of ours: the uploader's may hold anything but the suffix that we look at."""
    suffix = Path(file.name or "").suffix.lower()
    allowed = _SUFFIXES.get(name)
    if allowed is not None and suffix not in allowed:
        raise BadUpload(f"The {name} file must end in {' or '.join(allowed)}; this one is {file.name!r}.")
    path = folder / f"{name}{suffix if allowed else ''}"
    with path.open("wb") as target:
        for chunk in file.chunks():
            target.write(chunk)
    return path
