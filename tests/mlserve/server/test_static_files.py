"""The static files of a server: JavaScript modules find each other under their hashed names."""

import re
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.storage import StaticFilesStorage

from mlserve.server.static_files import StaticFiles

_IMPORTED = re.compile(r"""^(?:import|export)[^"']*["'](\.[^"']+)["']""", re.MULTILINE)


def collected(folder: Path) -> list[Path]:
    """Our own scripts as `collectstatic` leaves them."""
    source = StaticFilesStorage(location=settings.BASE_DIR / "static", base_url="/static/")
    target = StaticFiles(location=folder, base_url="/static/")
    names = [str(path.relative_to(source.location)) for path in Path(source.location).rglob("*.js")]
    for name in names:
        with source.open(name) as file:
            target.save(name, file)
    for _, _, processed in target.post_process({name: (target, name) for name in names}):
        assert not isinstance(processed, Exception), processed
    return [path for path in folder.rglob("*.js") if re.search(r"\.[0-9a-f]{12}\.js$", path.name)]


def test_it_imports_modules_by_names_that_exist(tmp_path: Path) -> None:
    imported = {
        (script.parent / name).resolve()
        for script in collected(tmp_path)
        for name in _IMPORTED.findall(script.read_text("utf-8"))
    }

    assert {path.name.split(".")[0] for path in imported} == {"sending", "sha2", "_md", "_u64", "utils"}
    assert [path for path in imported if not re.search(r"\.[0-9a-f]{12}\.js$", path.name)] == []
    assert [path for path in imported if not path.exists()] == []
