"""Routes of the views behind the table, over kept driving that is made up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fake_driving import NOW, FakeReview
from fakes import FakeBoard

from web.app import create_app


@pytest.fixture
def review() -> FakeReview:
    return FakeReview(FakeBoard())


@pytest.fixture
async def client(review: FakeReview) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(review.board, version="1.2.3", review=review))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as opened:
        yield opened


async def test_settings_say_which_routes_there_are(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/settings")).json()
    assert document["machine"]["temperature_c"] == 61.5
    assert {"cells", "table", "what-if"} <= set(document["offers"])
    assert not {"logs", "analyses", "sessions"} & set(document["offers"])


async def test_what_if_takes_limits_and_says_verdicts_in_words(
    client: httpx.AsyncClient, review: FakeReview
) -> None:
    answer = await client.get("/api/v1/what-if?filter=min_ect_c%3D60&filter=max_rpm%3D3000")
    document = answer.json()
    assert review.asked == [["min_ect_c=60", "max_rpm=3000"]]
    assert document["samples"] == sum(NOW.values())
    assert document["now"]["accepted"] == 20_000
    assert document["then"]["accepted"] == 20_900
    assert {"verdict": "cold_engine", "words": "coolant is too cold", "count": 100} in document["then"][
        "verdicts"
    ]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("filter=min_ect=60", "no filter 'min_ect'; nearest is 'min_ect_c'"),
        ("filter=min_ect_c", "is not KEY=VALUE"),
        ("filter=min_ect_c=900", "allowed are -50 to 150"),
        ("filter=min_ect_c=nan", "min_ect_c"),
        ("&".join(["filter=min_rpm=1"] * 33), "at most 32"),
    ],
)
async def test_limits_that_make_no_sense_are_refused(
    client: httpx.AsyncClient, query: str, says: str
) -> None:
    answer = await client.get(f"/api/v1/what-if?{query}")
    assert answer.status_code == 422
    assert says in answer.json()["error"]["message"]


async def test_a_cell_has_history_with_intervals_and_samples_with_nulls(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/cells/20")).json()
    assert document["maf_v"] == pytest.approx(2.44)
    assert [step["minute"] for step in document["history"]] == [None, 5.0, 10.0]
    assert document["history"][1]["ci95_pct"] == pytest.approx([2.0 - 1.96, 2.0 + 1.96])
    assert len(document["samples"]) == 12
    assert document["samples"][0]["iat_c"] is None
    assert document["no_samples_because"] is None
    unknown = (await client.get("/api/v1/cells/50")).json()
    assert unknown["history"][0]["correction_pct"] is None
    assert unknown["history"][0]["ci95_pct"] is None


@pytest.mark.parametrize(("cell", "status"), [("54", 404), ("-1", 422), ("x", 422), ("99999999999", 422)])
async def test_a_cell_that_is_none_is_refused(client: httpx.AsyncClient, cell: str, status: int) -> None:
    answer = await client.get(f"/api/v1/cells/{cell}")
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


async def test_points_are_as_many_volts_as_trims(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/points")).json()
    assert len(document["maf_v"]) == len(document["trim_pct"]) == 300


async def test_without_kept_samples_there_is_nothing_to_look_at(
    client: httpx.AsyncClient, review: FakeReview
) -> None:
    review.kept = False
    for path in ("points", "what-if"):
        answer = await client.get(f"/api/v1/{path}")
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "nothing_kept"
    cell = (await client.get("/api/v1/cells/20")).json()
    assert cell["samples"] == []
    assert "no samples are kept" in cell["no_samples_because"]
    assert len(cell["history"]) == 3
