"""Pairing over HTTP: codes, attempts, cookies, tokens, and who may see and revoke them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from paired_app import CAR, PHONE, PairedApp, paired_app

from web.access import COOKIE, COOKIE_AGE_S, AccessSettings
from web.device_shelf import DeviceKind
from web.pairing import ATTEMPTS, ATTEMPTS_AGAIN_S, CODE_CHARACTERS

PAIR = "/api/v1/pair"
DEVICES = "/api/v1/devices"
PAUSE = {"command": "pause"}


@pytest.fixture
async def car(tmp_path: Path) -> AsyncIterator[PairedApp]:
    async with paired_app(tmp_path, AccessSettings(requests_per_s=1e6)) as opened:
        yield opened


async def pair(car: PairedApp, code: str, address: str = PHONE) -> httpx.Response:
    async with car.client(address) as client:
        return await client.post(PAIR, json={"code": code, "name": "my phone"})


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


async def test_a_code_pairs_one_browser_by_a_cookie_that_no_script_reads(car: PairedApp) -> None:
    invitation = car.pairing.invite()
    answer = await pair(car, invitation.code)
    assert answer.status_code == 201
    assert answer.json()["name"] == "my phone"
    cookie = answer.headers["set-cookie"]
    name, _, credential = cookie.partition(";")[0].partition("=")
    assert name == COOKIE
    assert cookie.endswith(f"; Path=/; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Strict")
    assert credential not in answer.text
    async with car.client(cookie=f"{COOKIE}={credential}") as phone:
        assert (await phone.post("/api/v1/commands", json=PAUSE)).status_code == 200
        page = await phone.get("/")
        assert page.headers["set-cookie"] == cookie, "each visit makes it last as long again"
        assert "set-cookie" not in (await phone.get("/api/v1/table")).headers
        listed = (await phone.get(DEVICES)).json()
        assert listed["you"] == {"id": answer.json()["id"], "local": False}
    again = await pair(car, invitation.code)
    assert (again.status_code, code_of(again)) == (403, "code_wrong"), "each code is good once"


@pytest.mark.parametrize("written", ["{}", "{} ", "lower {}", "{0[0]}{0[1]} {0[2]}"])
async def test_a_code_may_be_typed_as_a_person_types(car: PairedApp, written: str) -> None:
    code = car.pairing.invite().code
    typed = {"lower {}": code.lower(), "{0[0]}{0[1]} {0[2]}": code.replace("-", " ")}.get(
        written, written.format(code)
    )
    assert (await pair(car, typed)).status_code == 201


async def test_a_code_is_good_for_its_minutes_only_and_a_new_one_ends_it(car: PairedApp) -> None:
    first = car.pairing.invite()
    second = car.pairing.invite()
    assert (await pair(car, first.code)).status_code == 403
    assert (await pair(car, first.link_secret)).status_code == 403
    car.clock.now_s += 299.0
    third = car.pairing.invite()
    car.clock.now_s += 300.0
    for late in (second.code, third.code, third.link_secret):
        assert (await pair(car, late)).status_code == 403
    assert car.devices.devices() == []


async def test_before_the_first_code_there_is_none(car: PairedApp) -> None:
    for nothing in ("", "-", "\u0130", "\U0001f600", "A" * 3000):
        assert (await pair(car, nothing, f"192.168.4.{30 + len(nothing) % 100}")).status_code == 403


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"code": 12345678}', b'{"code": null}', b'{"code": "A", "name": 1}', b"\xff"]
)
async def test_what_is_no_code_is_refused_like_a_wrong_one(car: PairedApp, body: bytes) -> None:
    car.pairing.invite()
    async with car.client() as client:
        answer = await client.post(PAIR, content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, code_of(answer)) == (403, "code_wrong")


async def test_a_thousand_wrong_codes_lock_out_who_guesses_and_not_the_owner(car: PairedApp) -> None:
    invitation = car.pairing.invite()
    statuses = [(await pair(car, f"AAAA-{number:04}", "192.168.4.66")).status_code for number in range(1000)]
    assert statuses[:ATTEMPTS] == [403] * ATTEMPTS
    assert set(statuses[ATTEMPTS:]) == {429}
    locked = await pair(car, invitation.code, "192.168.4.66")
    assert (locked.status_code, code_of(locked)) == (429, "too_many_attempts")
    assert int(locked.headers["retry-after"]) <= ATTEMPTS_AGAIN_S
    assert (await pair(car, invitation.code)).status_code == 201, "the owner's phone has another address"


async def test_the_owner_is_not_locked_out_even_behind_the_address_that_guesses(car: PairedApp) -> None:
    first = car.pairing.invite()
    for number in range(100):
        await pair(car, f"AAAA-{number:04}")
    assert (await pair(car, first.code)).status_code == 429
    assert (await pair(car, first.link_secret)).status_code == 201, "the QR code's secret cannot be guessed"
    for number in range(100):
        await pair(car, f"AAAA-{number:04}")
    assert (await pair(car, car.pairing.invite().code)).status_code == 201, "a new code counts anew"


async def test_attempts_come_back_with_time(car: PairedApp) -> None:
    invitation = car.pairing.invite()
    for _ in range(ATTEMPTS + 3):
        await pair(car, "AAAA-AAAA")
    car.clock.now_s += ATTEMPTS_AGAIN_S
    assert (await pair(car, invitation.code)).status_code == 201


async def test_codes_are_drawn_from_clear_characters_and_are_never_the_same(car: PairedApp) -> None:
    codes = {car.pairing.invite().code for _ in range(200)}
    assert len(codes) == 200
    assert {character for code in codes for character in code} - {"-"} <= set(CODE_CHARACTERS)
    assert not set("01OIL") & set(CODE_CHARACTERS)


async def test_somebody_at_the_machine_lets_phones_and_scripts_in_and_out(car: PairedApp) -> None:
    async with car.client("127.0.0.1") as here:
        made = (await here.post(DEVICES, json={"kind": "token", "name": " logger\n "})).json()
        assert made["name"] == "logger"
        invitation = (await here.post(DEVICES, json={"kind": "device"})).json()
        assert invitation["link"] == f"http://{CAR}:8000/#settings/{invitation['link_secret']}"
        assert invitation["qr"].startswith("data:image/svg+xml")
        assert (await pair(car, invitation["code"])).status_code == 201
        listed = (await here.get(DEVICES)).json()
        assert [(one["kind"], one["name"]) for one in listed["devices"]] == [
            ("token", "logger"),
            ("device", "my phone"),
        ]
        assert listed["you"] == {"id": None, "local": True}
        text = (await here.get(DEVICES)).text
        assert made["token"].rpartition("_")[2] not in text
        assert "sha256" not in text
        assert (await here.delete(f"{DEVICES}/{made['id']}")).status_code == 204
        gone = await here.delete(f"{DEVICES}/{made['id']}")
        assert (gone.status_code, code_of(gone)) == (404, "device_unknown")
    async with car.client(authorization=f"Bearer {made['token']}") as script:
        assert (await script.post("/api/v1/commands", json=PAUSE)).status_code == 401


async def test_a_paired_phone_pairs_another_and_revokes_it(car: PairedApp) -> None:
    first = await pair(car, car.pairing.invite().code)
    async with car.client(cookie=first.headers["set-cookie"].partition(";")[0]) as phone:
        invitation = (await phone.post(DEVICES, json={"kind": "device"})).json()
        second = (await pair(car, invitation["link_secret"], "192.168.4.21")).json()
        assert (await phone.delete(f"{DEVICES}/{second['id']}")).status_code == 204
        assert [one["id"] for one in (await phone.get(DEVICES)).json()["devices"]] == [first.json()["id"]]


@pytest.mark.parametrize(
    "document",
    [{}, {"kind": "admin"}, {"kind": ["token"]}, {"kind": "token"}, {"kind": "token", "name": " "},
     {"kind": "token", "name": 5}],
)  # fmt: skip
async def test_what_cannot_be_added_is_refused(car: PairedApp, document: dict[str, Any]) -> None:
    async with car.client("127.0.0.1") as here:
        answer = await here.post(DEVICES, json=document)
        assert (answer.status_code, code_of(answer)) == (422, "invalid_request")
    assert car.devices.devices() == []


async def test_no_more_devices_than_are_allowed(car: PairedApp) -> None:
    for number in range(4):
        await car.devices.add(DeviceKind.TOKEN, str(number))
    full = await pair(car, car.pairing.invite().code)
    assert (full.status_code, code_of(full)) == (409, "too_many_devices")
    async with car.client("127.0.0.1") as here:
        assert (await here.post(DEVICES, json={"kind": "token", "name": "x"})).status_code == 409


async def test_the_diagnosis_is_a_file(car: PairedApp) -> None:
    async with car.client("127.0.0.1") as here:
        answer = await here.get("/api/v1/diagnosis")
        assert answer.json()["format"] == "lowmaf.diagnosis/1"
        assert answer.headers["content-disposition"] == 'attachment; filename="lowmaf-diagnosis.json"'
