"""Take the model out of a folder or an archive. Pure, but for the files that it writes.

1. list the files, bounded    2. find the MLmodel, else the one file of a model    3. copy it, write what describes it
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mlserve.units import size_text
from registry.bundles.errors import UnusableBundle, listed
from registry.bundles.input_example import UnreadableExample, rows_of
from registry.bundles.members import MLMODEL, Folder, Members, TooMuchToList, copy, head, members_of, read
from registry.bundles.mlflow_model import MAX_MLMODEL_BYTES, MlflowModel, pinned_versions, read_mlmodel
from registry.bundles.signature import Signature
from registry.formats.loading import FORMATS
from registry.formats.skops_load import NAME as SKOPS

_MOST_EXAMPLE_BYTES = 5 * 2**20
_MOST_REQUIREMENTS_BYTES = 2**18
_HEAD_BYTES = 256
_ONE_PIPELINE = (
    "Put everything into one Pipeline, save it with joblib.dump(pipeline, 'model.joblib') and pack that file."
)


@dataclass(frozen=True)
class Origin:
    """What the model was taken out of. `notes` are sentences about what else was used of it, and what was not.

    Its texts are shown and stored as they are, so they have no character that a terminal or a database cannot take.
    """

    what: str
    file: str
    notes: tuple[str, ...] = ()
    trained_with: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join((f"{self.what}; its {self.file} is the pipeline.", *self.notes))


@dataclass(frozen=True)
class Bundle:
    """The files of a plain upload. `schema` is a JSON Schema, `sample` a JSON list of records."""

    model: Path
    origin: Origin
    schema: Path | None = None
    sample: Path | None = None


def unpack(path: Path, folder: Path, *, max_bytes: int, wants_schema: bool, wants_sample: bool) -> Bundle | None:
    """The model in a folder, a zip or a tar.gz, with its files in `folder`; None for a file that is none of these.

    Takes as long as unpacking the archive twice; at most `max_bytes` are written. Raises UnusableBundle.
    """
    try:
        with members_of(path, max_bytes=max_bytes) as members:
            if members is None:
                return None
            found = _Found(members, members.names(), folder, max_bytes)
            mlmodels = [name for name in found.names if PurePosixPath(name).name == MLMODEL]
            if len(mlmodels) == 1:
                return _of_mlflow(found, PurePosixPath(mlmodels[0]).parent, wants_schema, wants_sample)
            if mlmodels:
                raise UnusableBundle(
                    f"It holds several MLflow models: {listed(mlmodels)}.", "Give the folder of one of them."
                )
            return _of_sagemaker(found, path)
    except TooMuchToList as error:
        raise UnusableBundle("The archive holds too many files.", "Pack the folder of one model.") from error


@dataclass(frozen=True)
class _Found:
    members: Members
    names: Sequence[str]
    folder: Path
    max_bytes: int

    def taken(self, name: str) -> Path:
        """The file itself in a folder; a copy of it out of an archive."""
        if isinstance(self.members, Folder):
            return self.members.path(name)
        target = self.folder / "artifact"
        copy(self.members, name, target, max_bytes=self.max_bytes)
        return target

    def written(self, name: str, content: object) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(content, allow_nan=False), "utf-8")
        return path


def _of_mlflow(found: _Found, root: PurePosixPath, wants_schema: bool, wants_sample: bool) -> Bundle:
    mlmodel = read(found.members, str(root / MLMODEL), max_bytes=MAX_MLMODEL_BYTES)
    said = read_mlmodel(mlmodel, wants_schema=wants_schema)
    name = str(root / said.model_file)
    if name not in found.names:
        raise UnusableBundle(
            f"Its MLmodel names {listed([said.model_file])}, which is not there.",
            "Download the whole folder of the model and upload it again.",
        )
    notes, schema, sample = [], None, None
    if not wants_schema:
        notes.append("The schema is the one that was given.")
    elif said.signature is not None and said.signature.schema is not None:
        schema = found.written("schema.json", said.signature.schema)
        notes.append("Its signature, with what the pipeline knows, is the schema.")
    else:
        notes.append(_why_no_schema(said.signature))
    if wants_sample:
        sample, note = _sample(found, root, said)
        notes.append(note)
    else:
        notes.append("The sample is the one that was given.")
    what = f"An MLflow model (flavor sklearn, {listed([said.serialization])}), written by {listed([said.written_by])}"
    versions = {**_pins(found, root), **said.versions}
    origin = Origin(what, listed([said.model_file]), (*notes, *_more_notes(said)), versions)
    return Bundle(found.taken(name), origin, schema, sample)


def _why_no_schema(signature: Signature | None) -> str:
    why = "It has no signature" if signature is None else "Its signature names no columns"
    return f"{why}: the schema is read from the pipeline."


def _sample(found: _Found, root: PurePosixPath, said: MlflowModel) -> tuple[Path | None, str]:
    if said.example_file is None:
        return None, "It has no input example that could be the sample."
    name = str(root / said.example_file)
    try:
        if name not in found.names:
            raise UnreadableExample("the file is not there")
        content = head(found.members, name, _MOST_EXAMPLE_BYTES + 1)
        if len(content) > _MOST_EXAMPLE_BYTES:
            raise UnreadableExample(f"it is larger than {size_text(_MOST_EXAMPLE_BYTES)}")
        rows = rows_of(content, said.signature.names if said.signature else ())
    except UnreadableExample as error:
        return None, f"Its input example was not used: {error}."
    return found.written("sample.json", rows), "Its input example is the sample."


def _more_notes(said: MlflowModel) -> list[str]:
    notes = []
    if said.signature is not None and said.signature.params:
        names = listed(list(said.signature.params))
        notes.append(f"The parameters of its signature ({names}) are not used: requests here carry rows only.")
    if said.code_folder:
        notes.append(
            f"The Python code in its {listed([said.code_folder])}/ is not used: what the pipeline needs of it must be "
            "installed here."
        )
    if said.predict_fn != "predict":
        name = listed([said.predict_fn])
        notes.append(f"MLflow answers it with {name}; here that is asked for by ?outputs=predict,{name}.")
    return notes


def _pins(found: _Found, root: PurePosixPath) -> dict[str, str]:
    for each in ("requirements.txt", "conda.yaml"):
        if (name := str(root / each)) in found.names:
            return pinned_versions(head(found.members, name, _MOST_REQUIREMENTS_BYTES))
    return {}


def _of_sagemaker(found: _Found, path: Path) -> Bundle:
    """The one file of a model in an archive, recognised by its first bytes, whatever it is called."""
    models = [name for name in found.names if not _is_code(name) and _is_model(found.members, name)]
    others = [name for name in found.names if name not in models]
    outermost_first = sorted(found.names, key=lambda name: (name.count("/"), name))
    inside = f"It holds {listed(outermost_first)}." if found.names else "It is empty."
    give = f"Give the file of the pipeline itself: {listed(models)}." if models else _GIVE
    if path.is_dir():
        raise UnusableBundle(
            f"The artifact is a folder; give a file, or a folder of MLflow, which has a file {MLMODEL}. {inside}", give
        )
    if not _is_gzip(path):
        raise UnusableBundle(f"The zip archive has no {MLMODEL}, so it is no MLflow model. {inside}", give)
    if not models:
        raise UnusableBundle(f"No file in the archive is a skops, joblib or pickle file. {inside}", _GIVE)
    if len(models) > 1:
        raise UnusableBundle(f"The archive holds several models: {listed(models)}.", _ONE_PIPELINE)
    notes = (f"Not used: {listed(others)}.",) if others else ()
    origin = Origin("A model.tar.gz, as SageMaker keeps models", listed(models), notes)
    return Bundle(found.taken(models[0]), origin)


_GIVE = (
    f"Give a folder that mlflow wrote (it has a file {MLMODEL}), a zip of it, a model.tar.gz with one model file, or "
    "the file of the fitted pipeline itself: skops, joblib or pickle."
)


def _is_code(name: str) -> bool:
    """SageMaker keeps the code of an endpoint in this folder."""
    return "code" in PurePosixPath(name).parts[:-1]


def _is_model(members: Members, name: str) -> bool:
    start = head(members, name, _HEAD_BYTES)
    kind = next((known.name for known in FORMATS if start and known.begins(start)), None)
    # Arrays of NumPy and many other files are zip archives as well.
    return kind is not None and (kind != SKOPS or name.lower().endswith(".skops"))


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"
