"""Compressed bodies, in and out."""

import gzip
import json
import zlib
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from mlserve.errors import BadRequest
from mlserve.http.compression import decompressed
from predictions.models import Prediction
from registry.models import ModelVersion

TEXT = b"penguin " * 1000
LIMIT = 10_000
URL = "/api/predict"


def raw_deflated(text: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(text) + compressor.flush()


COMPRESSED = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "x-gzip": ("x-gzip", gzip.compress(TEXT)),
    "gzip of two parts": ("GZIP", gzip.compress(TEXT[:3000]) + gzip.compress(TEXT[3000:])),
    "deflate": ("deflate", zlib.compress(TEXT)),
    "deflate without its head": ("deflate", raw_deflated(TEXT)),
    "identity": ("identity", TEXT),
    "none": ("", TEXT),
}


@pytest.mark.parametrize("case", COMPRESSED)
def test_it_decompresses(case: str) -> None:
    encoding, body = COMPRESSED[case]

    assert decompressed(body, encoding, LIMIT) == TEXT


@pytest.mark.parametrize("spare", [0, 1])
def test_it_decompresses_up_to_the_limit(spare: int) -> None:
    assert decompressed(gzip.compress(TEXT), "gzip", len(TEXT) + spare) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_it_stops_at_a_bomb(encoding: str) -> None:
    compress = gzip.compress if encoding == "gzip" else zlib.compress
    with pytest.raises(OverflowError):
        decompressed(compress(bytes(2**24)), encoding, LIMIT)
    with pytest.raises(OverflowError):
        decompressed(compress(TEXT), encoding, len(TEXT) - 1)


BROKEN = {
    "plain": ("gzip", TEXT),
    "plain deflate": ("deflate", TEXT),
    "cut": ("gzip", gzip.compress(TEXT)[:-9]),
    "changed": ("gzip", gzip.compress(TEXT)[:-8] + b"\0" * 8),
    "followed": ("gzip", gzip.compress(TEXT) + b"more"),
    "followed deflate": ("deflate", zlib.compress(TEXT) + b"more"),
    "zlib as gzip": ("gzip", zlib.compress(TEXT)),
    "very many parts": ("gzip", gzip.compress(b"") * 100_000),
}


@pytest.mark.parametrize("case", BROKEN)
def test_it_refuses_what_is_broken(case: str) -> None:
    encoding, body = BROKEN[case]
    with pytest.raises(BadRequest, match=f"Content-Encoding: {encoding}"):
        decompressed(body, encoding, LIMIT)


def post(api: APIClient, body: Any, encoding: str, content_type: str = "application/json", url: str = URL) -> Any:
    return api.generic("POST", url, body, content_type=content_type, headers={"Content-Encoding": encoding})


@pytest.mark.django_db
@pytest.mark.parametrize("cookie", ["", "theme=dark"])
def test_it_predicts_compressed_rows(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], cookie: str
) -> None:
    api.defaults["HTTP_COOKIE"] = cookie
    response = post(api, gzip.compress(json.dumps([penguin] * 20).encode()), "gzip")

    assert response.status_code == 202
    assert Prediction.objects.get().row_count == 20


@pytest.mark.django_db
def test_it_answers_a_bomb_with_413_and_what_is_broken_with_400(
    api: APIClient, penguins: ModelVersion, settings: Any
) -> None:
    settings.MLSERVE_MAX_BODY_BYTES = LIMIT

    bomb, broken = post(api, gzip.compress(b" " * 2**20), "gzip"), post(api, b"{}", "gzip")

    assert (bomb.status_code, broken.status_code) == (413, 400)
    assert "MLSERVE_MAX_BODY_BYTES" in bomb.json()["detail"]
    assert "Content-Encoding: gzip" in broken.json()["detail"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("encoding", "content_type", "accepted"),
    [("br", "application/json", "gzip, deflate"), ("gzip, gzip", "application/json", "gzip, deflate"),
     ("zstd", "text/csv", "gzip, deflate"), ("gzip", "multipart/form-data; boundary=x", "identity")],
)  # fmt: skip
def test_it_says_which_encodings_it_reads(
    api: APIClient, penguins: ModelVersion, encoding: str, content_type: str, accepted: str
) -> None:
    response = post(api, b"\x1b\x0f", encoding, content_type)

    assert response.status_code == 415
    assert response.headers["Accept-Encoding"] == accepted
    assert response.json()["type"].endswith("/problems/unsupported-encoding")


@pytest.mark.django_db
def test_it_compresses_a_large_answer_when_asked(api: APIClient, penguins: ModelVersion) -> None:
    plain = api.get("/api/models/penguins/versions/1.0")
    small = api.get("/api/models", headers={"Accept-Encoding": "gzip"})
    packed = api.get("/api/models/penguins/versions/1.0", headers={"Accept-Encoding": "br, gzip"})
    refused = api.get("/api/models/penguins/versions/1.0", headers={"Accept-Encoding": "br, gzip;q=0"})

    assert len(plain.content) > 4096
    assert not any("Content-Encoding" in response.headers for response in (plain, small, refused))
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert packed.headers["Content-Length"] == str(len(packed.content))
    assert gzip.decompress(packed.content) == plain.content


@pytest.mark.django_db
def test_it_compresses_no_page(client: Client, penguins: ModelVersion, owner: User) -> None:
    client.force_login(owner)
    headers = {"Accept-Encoding": "gzip", "Accept": "text/html"}
    for path in ("/models/penguins", "/api/models/penguins/versions/1.0", "/admin/"):
        response = client.get(path, headers=headers)

        assert response.headers["Content-Type"].startswith("text/html")
        assert "Content-Encoding" not in response.headers


@pytest.mark.django_db
def test_it_compresses_an_answer_that_is_streamed(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], reader: User
) -> None:
    api.force_authenticate(reader)
    for _ in range(3):
        assert api.post(URL, [penguin] * 50).status_code == 202

    response = api.get("/api/predict/export", headers={"Accept-Encoding": "gzip"})

    lines = gzip.decompress(b"".join(response.streaming_content)).splitlines()  # type: ignore[attr-defined]
    assert response.headers["Content-Encoding"] == "gzip"
    assert [json.loads(line)["rows"] for line in lines] == [50, 50, 50]
