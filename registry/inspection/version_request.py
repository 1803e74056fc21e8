"""The request to publish a version: one type for the command, the API, the admin and remote uploads. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mlserve.errors import BadUpload
from registry.bundles.bundle import Origin

SchemaKind = Literal["pydantic", "json_schema"]

# Fields of a multipart form: a text, or the name and the content of a file.
Fields = Sequence[tuple[str, str | tuple[str, bytes]]]


@dataclass(frozen=True)
class SchemaSource:
    """A file that describes one raw record. `class_name` is for Python files."""

    path: Path
    kind: SchemaKind
    class_name: str = "RawData"


@dataclass(frozen=True)
class VersionRequest:
    """What an artifact is to be published as, and the files that describe it, which are on this disk.

    The artifact is not part of it: a direct upload sends it before. `title` and `is_public` are the model's; None
    leaves them as they are. `allow_other_versions` admits what another scikit-learn trained. `origin` is there once the
    artifact was taken out of a folder or an archive (`unpacked`).
    """

    model: str = ""
    tag: str = ""
    _: KW_ONLY
    schema: SchemaSource | None = None
    sample: Path | None = None
    form_config: dict[str, Any] | None = None
    title: str | None = None
    is_public: bool | None = None
    promote: bool = False
    allow_other_versions: bool = False
    origin: Origin | None = None

    @property
    def describes_version(self) -> bool:
        """Whether it has any of the files that cannot change once a version is registered."""
        return any(each is not None for each in (self.schema, self.sample, self.form_config))

    @property
    def changes_model(self) -> bool:
        """Whether it changes a model that exists, which needs a permission of its own."""
        return self.title is not None or self.is_public is not None

    def options(self) -> dict[str, Any]:
        """All but the names and the files as JSON, by the names that `version_request` reads."""
        is_python = self.schema is not None and self.schema.kind == "pydantic"
        return {
            "schema_class": self.schema.class_name if self.schema and is_python else None,
            "title": self.title,
            "is_public": self.is_public,
            "promote": self.promote,
            "allow_other_versions": self.allow_other_versions,
        }

    def files(self) -> dict[str, tuple[str, bytes]]:
        """The files that describe the version, by the API's fields: a name with the suffix of its kind, and content."""
        files = {}
        if self.schema is not None:
            name = "schema.py" if self.schema.kind == "pydantic" else "schema.json"
            files["schema"] = (name, self.schema.path.read_bytes())
        if self.sample is not None:
            files["sample"] = (f"sample{self.sample.suffix.lower()}", self.sample.read_bytes())
        if self.form_config is not None:
            files["form"] = ("form.json", json.dumps(self.form_config).encode())
        return files

    def api_fields(self) -> Fields:
        """The form of `POST /api/models/{model}/versions` without the artifact."""
        options = {"tag": self.tag, **self.options()}
        options["public"] = options.pop("is_public")
        texts = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in options.items()
            if value is not None
        }
        return [*texts.items(), *self.files().items()]


def version_request(options: Mapping[str, Any], files: Mapping[str, Path | str]) -> VersionRequest:
    """Read a request from the options of the command, a form or a stored upload, and from its files, named schema,
    sample and form.

    The schema may be written `validation.py:RawData`; the option `schema_class` names the class as well. Options that
    are absent or None change nothing. Raises BadUpload for a schema or a form that cannot be used.
    """
    schema = schema_source(str(files["schema"])) if "schema" in files else None
    if schema is not None and schema.kind == "pydantic" and options.get("schema_class"):
        schema = replace(schema, class_name=options["schema_class"])
    return VersionRequest(
        options.get("model") or "",
        options.get("tag") or "",
        schema=schema,
        sample=Path(files["sample"]) if "sample" in files else None,
        form_config=form_config_of(Path(files["form"])) if "form" in files else None,
        title=options.get("title"),
        is_public=options.get("is_public"),
        promote=bool(options.get("promote")),
        # Rows written by the previous release do not have it.
        allow_other_versions=bool(options.get("allow_other_versions")),
    )


def schema_source(text: str) -> SchemaSource:
    """`validation.py:RawData`, `validation.py` or `schema.json`. Raises BadUpload."""
    file, _, class_name = text.rpartition(":") if ":" in text and not Path(text).exists() else (text, "", "")
    path = Path(file)
    if not path.is_file():
        raise BadUpload(f"The schema file {file} does not exist. Give validation.py:RawData or a JSON Schema file.")
    if path.suffix == ".py":
        return SchemaSource(path, "pydantic", class_name or "RawData")
    if class_name:
        raise BadUpload(f"{text}: only a Python file has a class after the colon.")
    return SchemaSource(path, "json_schema")


def form_config_of(path: Path) -> dict[str, Any]:
    """The form configuration in a file. Raises BadUpload."""
    from registry.schema.form_config import parse_form_config  # pydantic costs a web process a tenth of a second

    try:
        return parse_form_config(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadUpload(f"{path.name} cannot be read as UTF-8 text: {error}.") from error
