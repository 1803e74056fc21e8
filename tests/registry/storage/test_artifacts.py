"""The gateway to artifact storage: the same promises on a local disk and in S3."""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import File
from django.core.files.storage import storages

from mlserve.errors import ArtifactUnavailable, BadUpload, PayloadLost, TooLarge, Unavailable
from registry.storage.artifacts import get, local_copy, put, remove, store
from registry.storage.digest import Digest, digest_of
from registry.storage.disk import AtomicFileSystemStorage
from tests.meanwhile import at_once

CONTENT = b"a fitted pipeline" * 100_000


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "model.joblib"
    path.write_bytes(CONTENT)
    return path


def stored_bytes(digest: Digest) -> bytes:
    with storages["artifacts"].open(digest.key) as file:
        return bytes(file.read())


def overwrite(digest: Digest, content: bytes) -> None:
    """As a failing disk or a careless colleague would: past the gateway."""
    storage: Any = storages["artifacts"]
    if isinstance(storage, AtomicFileSystemStorage):
        path = Path(storage.path(digest.key))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    else:
        storage.client.put_object(Bucket=storage.bucket_name, Key=digest.key, Body=content)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


class TestStorage:
    """The contract, which both kinds of storage keep."""

    @pytest.fixture(autouse=True, params=["disk", "s3"])
    def _kind(self, request: pytest.FixtureRequest) -> None:
        if request.param == "s3":
            request.getfixturevalue("artifacts_in_s3")

    def test_it_gives_back_what_was_stored(self, artifact: Path) -> None:
        digest = digest_of(artifact)

        store(artifact, digest)

        with local_copy(digest) as path:
            assert path.read_bytes() == CONTENT

    def test_it_stores_under_the_digest(self, artifact: Path) -> None:
        digest = digest_of(artifact)

        store(artifact, digest)

        sha256 = hashlib.sha256(CONTENT).hexdigest()
        assert digest.key == f"sha256/{sha256[:2]}/{sha256}"
        assert storages["artifacts"].listdir(f"sha256/{sha256[:2]}") == ([], [sha256])

    def test_it_leaves_bytes_alone_that_are_there(self, artifact: Path) -> None:
        digest = digest_of(artifact)
        store(artifact, digest)
        before = storages["artifacts"].get_modified_time(digest.key)

        store(artifact, digest)

        assert storages["artifacts"].get_modified_time(digest.key) == before

    def test_it_replaces_a_file_that_was_cut_short(self, artifact: Path) -> None:
        digest = digest_of(artifact)
        overwrite(digest, CONTENT[:100])

        store(artifact, digest)

        assert stored_bytes(digest) == CONTENT
        assert len(storages["artifacts"].listdir(f"sha256/{digest.sha256[:2]}")[1]) == 1

    @pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b"x" * len(CONTENT), b""], ids=len)
    def test_it_refuses_bytes_that_have_changed(self, artifact: Path, content: bytes) -> None:
        digest = digest_of(artifact)
        store(artifact, digest)
        overwrite(digest, content)

        with pytest.raises(ArtifactUnavailable, match="changed or damaged; upload it again"), local_copy(digest):
            pass

    def test_it_says_that_a_file_is_missing_and_what_to_do(self, artifact: Path, tmp_path: Path) -> None:
        store_another(tmp_path)
        digest = digest_of(artifact)

        with pytest.raises(ArtifactUnavailable, match="is not in the storage") as refusal, local_copy(digest):
            pass
        assert digest.sha256[:12] in refusal.value.detail
        assert "upload it again" in refusal.value.detail

    def test_it_leaves_nothing_behind_when_a_file_is_missing(self, artifact: Path, tmp_path: Path) -> None:
        with pytest.raises(Unavailable), local_copy(digest_of(artifact)):
            pass

        assert [path for path in files_in(tmp_path) if path.name != "lock"] == [artifact]

    def test_it_passes_on_what_is_raised_while_the_copy_is_used(self, artifact: Path) -> None:
        store(artifact, digest_of(artifact))

        with pytest.raises(FileNotFoundError, match="another file's"), local_copy(digest_of(artifact)):
            raise FileNotFoundError("another file's")

    def test_it_stores_one_file_for_many_writers_at_once(self, artifact: Path) -> None:
        digest = digest_of(artifact)

        at_once(*[lambda: store(artifact, digest)] * 8)

        assert stored_bytes(digest) == CONTENT
        assert len(storages["artifacts"].listdir(f"sha256/{digest.sha256[:2]}")[1]) == 1

    def test_it_replaces_a_foreign_file_in_its_place(self, artifact: Path) -> None:
        """Of the same size, so that it is not seen at once."""
        digest = digest_of(artifact)
        store(artifact, digest)
        overwrite(digest, b"x" * len(CONTENT))

        store(artifact, digest)

        with local_copy(digest) as path:
            assert path.read_bytes() == CONTENT

    def test_it_gives_it_to_many_readers_at_once(self, artifact: Path) -> None:
        digest = digest_of(artifact)
        store(artifact, digest)

        def read(_number: int) -> bytes:
            with local_copy(digest) as path:
                return path.read_bytes()

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(read, range(8))) == {CONTENT}

    def test_it_puts_gets_and_removes_data(self, tmp_path: Path) -> None:
        put("predictions/1/input.json", b"[1, 2]")

        assert get("predictions/1/input.json") == b"[1, 2]"
        remove(["predictions/1/input.json", "predictions/1/never-there.json"])
        store_another(tmp_path)
        with pytest.raises(PayloadLost, match="does not hold predictions/1/input"):
            get("predictions/1/input.json")

    def test_it_refuses_a_file_that_changed_since_it_was_hashed(self, artifact: Path) -> None:
        digest = digest_of(artifact)
        for content in (CONTENT[:-1] + b"x", CONTENT[:-1], CONTENT + b"x"):
            artifact.write_bytes(content)

            with pytest.raises(BadUpload, match="changed while it was stored"):
                store(artifact, digest)

            assert not storages["artifacts"].exists(digest.key)

    def test_it_says_that_a_file_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(BadUpload, match="cannot be read: No such file"):
            store(tmp_path / "absent.joblib", Digest("ab" * 32, 1))

    def test_it_stores_an_empty_file(self, tmp_path: Path) -> None:
        path = tmp_path / "empty"
        path.write_bytes(b"")
        digest = digest_of(path)

        store(path, digest)

        with local_copy(digest) as copy:
            assert copy.read_bytes() == b""


def store_another(folder: Path) -> None:
    """A storage in use."""
    path = folder / "another"
    path.write_bytes(b"another")
    store(path, digest_of(path))


def test_it_tells_an_unreachable_storage_from_a_missing_file(artifact: Path, tmp_path: Path) -> None:
    digest = digest_of(artifact)
    store(artifact, digest)
    (tmp_path / "artifacts").rename(tmp_path / "moved")
    (tmp_path / "artifacts").mkdir()  # as where a disk is not mounted

    with pytest.raises(Unavailable, match="its disk mounted") as refusal, local_copy(digest):
        pass
    assert refusal.value.may_pass
    with pytest.raises(Unavailable, match="its disk mounted"):
        get("predictions/1/input.json")


def test_it_measures_a_file_while_it_hashes(artifact: Path) -> None:
    assert digest_of(artifact) == Digest(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


def test_it_takes_a_file_of_exactly_the_limit(artifact: Path, settings: Any) -> None:
    settings.MLSERVE_MAX_ARTIFACT_BYTES = len(CONTENT)

    assert digest_of(artifact).size_bytes == len(CONTENT)


def test_it_refuses_a_file_above_the_limit(artifact: Path, settings: Any) -> None:
    settings.MLSERVE_MAX_ARTIFACT_BYTES = len(CONTENT) - 1

    with pytest.raises(TooLarge, match=r"model\.joblib is larger than [\d.]+ \w+ \(MLSERVE_MAX_ARTIFACT_BYTES\)"):
        digest_of(artifact)


def test_it_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadUpload, match="No such file"):
        digest_of(tmp_path / "absent.joblib")


def test_it_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadUpload, match="Is a directory"):
        digest_of(tmp_path)


# --- On a disk ---------------------------------------------------------------------------------------------------


class BreaksHalfway(File):  # type: ignore[type-arg]  # Django subscripts it for type checkers only
    """Raises in the middle, as when the process is told to stop."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt


def test_it_leaves_no_file_when_writing_breaks_off(tmp_path: Path, artifact: Path) -> None:
    storage = AtomicFileSystemStorage(location=tmp_path / "artifacts")

    with artifact.open("rb") as file, pytest.raises(KeyboardInterrupt):
        storage.save("sha256/ab/abc", BreaksHalfway(file))

    assert not storage.exists("sha256/ab/abc")
    assert files_in(tmp_path / "artifacts") == []


def test_it_shows_no_file_before_it_is_complete(tmp_path: Path, artifact: Path) -> None:
    storage = AtomicFileSystemStorage(location=tmp_path / "artifacts")
    seen = []

    class Watched(File):  # type: ignore[type-arg]
        def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
            yield b"half"
            seen.append(storage.exists("sha256/ab/abc"))
            yield b"more"

    with artifact.open("rb") as file:
        storage.save("sha256/ab/abc", Watched(file))

    assert seen == [False]
    assert (tmp_path / "artifacts/sha256/ab/abc").read_bytes() == b"halfmore"


def test_it_replaces_damaged_bytes_of_the_same_number(artifact: Path) -> None:
    digest = digest_of(artifact)
    overwrite(digest, b"x" * len(CONTENT))

    store(artifact, digest)

    assert stored_bytes(digest) == CONTENT


def test_it_uses_a_file_on_disk_in_place(artifact: Path, settings: Any) -> None:
    digest = digest_of(artifact)
    store(artifact, digest)

    with local_copy(digest) as path:
        assert path == Path(storages["artifacts"].path(digest.key))
    assert not settings.MLSERVE_CACHE_DIR.exists()


def test_it_says_that_a_disk_does_not_take_the_file(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be")

    with pytest.raises(Unavailable, match="did not take the data"):
        store(artifact, digest_of(artifact))


def test_it_deletes_what_killed_writers_left_behind(artifact: Path, tmp_path: Path) -> None:
    abandoned = tmp_path / "artifacts/.incoming/tmp123"
    abandoned.parent.mkdir(parents=True)
    abandoned.write_bytes(b"half")
    os.utime(abandoned, (time.time() - 3600,) * 2)

    store(artifact, digest_of(artifact))

    assert not abandoned.exists()


def test_it_leaves_alone_what_others_are_writing(artifact: Path, tmp_path: Path) -> None:
    being_written = tmp_path / "artifacts/.incoming/tmp123"
    being_written.parent.mkdir(parents=True)
    with being_written.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.utime(being_written, (time.time() - 3600,) * 2)

        store(artifact, digest_of(artifact))

        assert being_written.exists()
