import sys
from uuid import uuid4

import psycopg
import pytest

from benchmark.handwritten import store
from benchmark.postgres import find_programs, running_cluster
from tests.requirements import everything_is_required

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads Linux's /proc"),
    pytest.mark.skipif(find_programs() is None and not everything_is_required(), reason="PostgreSQL is not installed"),
]


def test_it_gives_each_system_a_database_that_waits_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the hand-written servers do with theirs."""
    with running_cluster() as cluster:
        url, _ = cluster.create_database("one"), cluster.create_database("another")
        with psycopg.connect(url) as connection:
            settings = [connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")]
        store.create_table(url)
        monkeypatch.setattr(store, "URL", url)
        prediction_id = uuid4()
        store.insert(prediction_id, [{"age": 3}])
        before = store.find(prediction_id)
        store.finish(prediction_id, ["yes"])
        after = store.find(prediction_id)
        store._mine.connection.close()
        folder = cluster.folder

    assert settings == [("on",), ("on",)]
    assert (before, after) == (None, ["yes"])
    assert not folder.exists()
