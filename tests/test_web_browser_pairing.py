"""A phone is paired by its code or by the QR code's link, sees who else is, and is let out again."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from browsing import CAR, launched_browser, opened  # noqa: F401 - a fixture
from fake_driving import FakeReview, FakeShelf
from fakes import FakeBoard, serving
from playwright.async_api import Browser, expect

from daemon.serving.kept_devices import KeptDevices
from daemon.store.store import Store
from web.access import AccessSettings
from web.app import create_app
from web.device_shelf import DeviceKind
from web.pairing import Pairing, pairing_link

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Car:
    """A daemon's web side with devices that are really kept; ``url`` is its address for a phone."""

    url: str
    board: FakeBoard
    devices: KeptDevices
    pairing: Pairing


@pytest_asyncio.fixture(loop_scope="module")
async def car(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Car]:
    board = FakeBoard()
    async with await Store.open(tmp_path / "car.sqlite3") as store:
        devices = await KeptDevices.load(store, max_devices=5)
        pairing = Pairing(300.0, time.monotonic)
        settings = AccessSettings(read_requires_pairing=getattr(request, "param", False))
        app = create_app(
            board,
            version="1.2.3",
            review=FakeReview(board),
            sessions=FakeShelf(),
            access=settings,
            pairing=(devices, pairing),
        )
        async with serving(app) as address:
            yield Car(address.replace("127.0.0.1", CAR), board, devices, pairing)


@pytest.mark.parametrize("car", [True], ids=["reading needs pairing too"], indirect=True)
async def test_a_phone_is_paired_by_the_code_it_is_shown_and_let_out_again(
    browser: Browser, car: Car
) -> None:
    invitation = car.pairing.invite()
    async with opened(browser, car.url, "settings") as page:
        panel = page.locator("#devices")
        await expect(panel).to_contain_text("must be paired")
        await panel.get_by_label("Code that is shown in the car").fill("AAAA-AAAA")
        await panel.get_by_label("Name of this phone").fill("<b>Pixel</b>")
        await panel.get_by_role("button", name="Pair this phone").click()
        await expect(panel).to_contain_text("not the code that is shown now")
        assert car.devices.devices() == []
        await panel.get_by_label("Code that is shown in the car").fill(invitation.code.lower())
        await panel.get_by_role("button", name="Pair this phone").click()
        await expect(panel).to_contain_text("This phone is paired.")
        await expect(panel.locator("li b")).to_have_text("<b>Pixel</b>")
        (cookie,) = await page.context.cookies()
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Strict"
        assert await page.evaluate("document.cookie") == ""
        answer = await page.evaluate(
            """fetch("/api/v1/commands", {method: "POST", headers: {"content-type": "application/json"},
                body: '{"command": "pause"}'}).then((response) => response.status)"""
        )
        assert answer == 200
        (device,) = car.devices.devices()
        await car.devices.revoke(device.id)
        await page.reload()
        await expect(panel).to_contain_text("was revoked")


async def test_a_qr_code_pairs_another_phone(browser: Browser, car: Car) -> None:
    origin = car.url.rstrip("/")
    link = pairing_link(origin, car.pairing.invite().link_secret)
    async with opened(browser, car.url, link.partition("#")[2]) as first:
        panel = first.locator("#devices")
        await expect(panel.locator("li")).to_have_count(1)
        assert first.url == f"{car.url}#settings"
        await panel.get_by_role("button", name="Pair another phone").click()
        await expect(panel.get_by_alt_text("QR code")).to_be_visible()
        words = await panel.get_by_text(re.compile("Code .* for one phone")).inner_text()
        width = "document.querySelector('#devices img').naturalWidth"
        assert await first.evaluate(width) > 100
        code = words.split()[1].rstrip(":")
        car.pairing.redeem(code, "192.168.4.9")
        await car.devices.add(DeviceKind.TOKEN, "logger")
        await first.reload()
        await expect(panel.locator("li")).to_have_count(2)
        await expect(panel).to_contain_text("never used")
