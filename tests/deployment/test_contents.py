"""What gets into the package: only what is named."""

from pathlib import Path

import pytest

from deployment.contents import Entry, Incomplete, entries, sizes

PINS = """solver[fast, small]==1.2 \\
    --hash=sha256:00
colorama==1.0 ; sys_platform == 'win32' \\
    --hash=sha256:00
"""


def install(site_packages: Path, name: str, version: str, files: dict[str, str]) -> None:
    """As pip does: the files, and the list of them."""
    metadata = f"{name}-{version}.dist-info"
    known = {f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", **files}
    for path, text in known.items():
        (site_packages / path).parent.mkdir(parents=True, exist_ok=True)
        (site_packages / path).write_text(text)
    listed = [*known, f"{metadata}/RECORD", "../../bin/solve"]
    (site_packages / metadata / "RECORD").write_text("".join(f"{path},,\n" for path in listed))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with all that a developer has lying about."""
    root = tmp_path / "checkout"
    for name in (
        "mlserve/urls.py", "mlserve/.env", "mlserve/key.pem", "registry/models/model.py", "registry/db.sqlite3",
        "predictions/api/views.py", "predictions/__pycache__/views.cpython-313.pyc", "templates/home.html",
        ".env", "var/mlserve.sqlite3", "var/artifacts/model.joblib", "tests/test_x.py", "deployment/stages.py",
        "docs/x.md", ".git/config", "examples/train.py", "benchmark/run.py", "manage.py", "zappa_settings.json",
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("secret")
    (root / "requirements.txt").write_text(PINS)
    return root


@pytest.fixture
def site_packages(tmp_path: Path) -> Path:
    folder = tmp_path / "site-packages"
    install(folder, "solver", "1.2", {"solver/__init__.py": "", "solver/tests/test_solver.py": "", "solver/a.pyi": ""})
    install(folder, "zappa", "0.63", {"zappa/__init__.py": ""})
    return folder


def names(found: list[Entry]) -> list[str]:
    return [entry.name for entry in found]


def test_it_takes_only_what_it_names(checkout: Path, site_packages: Path, tmp_path: Path) -> None:
    found = names(entries(checkout, site_packages, tmp_path / "nothing"))

    assert found == [
        "mlserve/urls.py", "predictions/api/views.py", "registry/models/model.py", "solver-1.2.dist-info/METADATA",
        "solver/__init__.py", "templates/home.html",
    ]  # fmt: skip


def test_it_brings_collected_files(checkout: Path, site_packages: Path, tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "style.0a1b.css").write_text("a {}")

    assert "collected/style.0a1b.css" in names(entries(checkout, site_packages, tmp_path / "static"))


def test_it_follows_no_link_out_of_the_checkout(checkout: Path, site_packages: Path, tmp_path: Path) -> None:
    (tmp_path / "private.py").write_text("key = 1")
    (checkout / "mlserve" / "private.py").symlink_to(tmp_path / "private.py")

    assert "mlserve/private.py" not in names(entries(checkout, site_packages, tmp_path))


def test_it_refuses_a_library_that_is_not_installed(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(Incomplete, match=r"lacks solver==1\.2: install requirements-deploy\.txt"):
        entries(checkout, tmp_path / "empty", tmp_path)


def test_it_refuses_another_version_than_the_locked_one(checkout: Path, tmp_path: Path) -> None:
    install(tmp_path / "other", "solver", "1.3", {"solver/__init__.py": ""})

    with pytest.raises(Incomplete, match=r"solver==1\.2"):
        entries(checkout, tmp_path / "other", tmp_path)


def test_it_leaves_the_sdk_to_lambda(checkout: Path, site_packages: Path, tmp_path: Path) -> None:
    (checkout / "requirements.txt").write_text(f"{PINS}boto3==1.0\n")
    install(site_packages, "boto3", "1.0", {"boto3/__init__.py": ""})

    assert not [name for name in names(entries(checkout, site_packages, tmp_path)) if name.startswith("boto3")]


def test_it_brings_modules_that_artifacts_need(checkout: Path, site_packages: Path, tmp_path: Path) -> None:
    for name in ("ours/steps.py", "ours/words.txt", "one.py"):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text("")

    found = names(entries(checkout, site_packages, tmp_path, trusted=["ours.steps", "one:Step", "solver:Solver"]))

    assert {"ours/steps.py", "one.py"} <= set(found)
    assert "ours/words.txt" not in found
    assert len(found) == len(set(found))


def test_it_refuses_a_trusted_module_that_it_cannot_find(checkout: Path, site_packages: Path, tmp_path: Path) -> None:
    with pytest.raises(Incomplete, match="MLSERVE_TRUSTED_MODULES names ours, which is not in the package"):
        entries(checkout, site_packages, tmp_path, trusted=["ours.steps"])


def test_it_sums_sizes_by_library() -> None:
    found = sizes([("scipy/a.so", 5), ("scipy.libs/b.so", 3), ("six.py", 1), ("six-1.dist-info/METADATA", 2)])

    assert found == {"scipy": 8, "metadata": 2, "six.py": 1}
