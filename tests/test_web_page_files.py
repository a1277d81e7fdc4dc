"""The page's own files: packed or plain, told apart by their tags, and nothing beyond the folder."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fake_driving import app_over
from fakes import FakeBoard

from web.front import STATIC
from web.page_files import PageFiles


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_over(FakeBoard()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as opened:
        yield opened


@pytest.mark.parametrize(
    ("accepted", "packs"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("identity", False),
        ("", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("xgzip", False),
    ],
)
async def test_a_file_is_packed_for_those_who_take_it(
    client: httpx.AsyncClient, accepted: str, packs: bool
) -> None:
    async with client.stream("GET", "/static/app.js", headers={"accept-encoding": accepted}) as answer:
        body = b"".join([chunk async for chunk in answer.aiter_raw()])
    wanted = (STATIC / "app.js").read_bytes()
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.headers.get("content-encoding") == ("gzip" if packs else None)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert int(answer.headers["content-length"]) == len(body)
    assert (gzip.decompress(body) if packs else body) == wanted


async def test_what_a_browser_has_is_not_sent_again_and_packed_differs_from_plain(
    client: httpx.AsyncClient,
) -> None:
    plain = await client.get("/", headers={"accept-encoding": "identity"})
    packed = await client.get("/", headers={"accept-encoding": "gzip"})
    assert plain.text == packed.text
    assert plain.headers["etag"] != packed.headers["etag"]
    assert plain.headers["cache-control"] == "no-cache"
    for kept in (plain, packed):
        coding = kept.headers.get("content-encoding", "identity")
        again = await client.get(
            "/", headers={"accept-encoding": coding, "if-none-match": kept.headers["etag"]}
        )
        assert again.status_code == 304
        assert again.content == b""
        assert "content-encoding" not in again.headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/none.js",
        "/static/",
        "/static/panels",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static//app.js",
    ],
)
async def test_there_is_nothing_beyond_the_folder(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_a_kind_of_file_that_the_page_does_not_use_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_bytes(b"x")
    with pytest.raises(KeyError):
        PageFiles(tmp_path)
