"""Devices and tokens outlive a restart, of their secrets only hashes; who is revoked stays so."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from daemon.serving.kept_devices import KeptDevices
from daemon.store.snapshots import snapshots
from daemon.store.store import Store
from web.credentials import Credential
from web.device_shelf import LONGEST_NAME, DeviceKind, TooManyDevicesError
from web.service_errors import ServiceUnavailableError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "car.sqlite3"


async def test_a_credential_lets_in_until_it_is_revoked_also_after_a_restart(path: Path) -> None:
    async with await Store.open(path) as store:
        kept = await KeptDevices.load(store, max_devices=5, wall_clock=lambda: 1.7e9)
        phone, cookie = await kept.add(DeviceKind.DEVICE, "a" * 200)
        script, token = await kept.add(DeviceKind.TOKEN, "logger")
        assert len(phone.name) == LONGEST_NAME
    async with await Store.open(path) as store:
        kept = await KeptDevices.load(store, max_devices=5, wall_clock=lambda: 1.7e9)
        assert {device.id for device in kept.devices()} == {phone.id, script.id}
        found = kept.recognise(cookie)
        assert found is not None
        assert (found.id, found.kind, found.last_used_wall_s) == (phone.id, DeviceKind.DEVICE, 1.7e9)
        await kept.revoke(script.id)
        assert kept.recognise(token) is None
    async with await Store.open(path) as store:
        kept = await KeptDevices.load(store, max_devices=5)
        assert [device.last_used_wall_s for device in kept.devices()] == [1.7e9]
        assert kept.recognise(token) is None
    for file in path.parent.iterdir():
        content = file.read_bytes()
        for secret in (cookie, token):
            parsed = Credential.parse(secret)
            assert parsed is not None
            assert parsed.secret.encode() not in content, "only a hash is kept"


async def test_a_use_is_noted_once_an_hour(path: Path) -> None:
    now_s = 1.7e9
    async with await Store.open(path) as store:
        kept = await KeptDevices.load(store, max_devices=5, wall_clock=lambda: now_s)
        _, token = await kept.add(DeviceKind.TOKEN, "logger")
        used = []
        for later_s in (0.0, 10.0, 3599.0, 3600.0):
            now_s = 1.7e9 + later_s
            device = kept.recognise(token)
            assert device is not None
            used.append(device.last_used_wall_s)
        assert used == [1.7e9, 1.7e9, 1.7e9, 1.7e9 + 3600.0]


@pytest.mark.parametrize("change", ["secret_sha256 = 'f'", "name = 'mine'", "kind = 'device'", "crc32 = 1"])
async def test_a_row_that_was_altered_lets_nobody_in(path: Path, change: str) -> None:
    async with await Store.open(path) as store:
        _, token = await (await KeptDevices.load(store, max_devices=5)).add(DeviceKind.TOKEN, "logger")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE devices SET {change}")
        connection.commit()
    async with await Store.open(path) as store:
        kept = await KeptDevices.load(store, max_devices=5)
        assert kept.recognise(token) is None
        assert kept.devices() == []


async def test_no_more_than_are_allowed(path: Path) -> None:
    async with await Store.open(path) as store:
        kept = await KeptDevices.load(store, max_devices=1)
        await kept.add(DeviceKind.TOKEN, "one")
        with pytest.raises(TooManyDevicesError, match="revoke one first"):
            await kept.add(DeviceKind.TOKEN, "two")


async def test_where_nothing_can_be_written_nobody_is_let_in_and_who_is_revoked_stays_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await Store.open(path) as store:
        kept = await KeptDevices.load(store, max_devices=5)
        script, token = await kept.add(DeviceKind.TOKEN, "logger")

        async def fails() -> None:
            from daemon.store.records import StoreError

            raise StoreError("no room left on the disk")

        with monkeypatch.context() as patched:
            patched.setattr(store, "flush", fails)
            with pytest.raises(ServiceUnavailableError, match="no room"):
                await kept.add(DeviceKind.TOKEN, "another")
            assert [device.id for device in kept.devices()] == [script.id]
            with pytest.raises(ServiceUnavailableError):
                await kept.revoke(script.id)
            assert kept.recognise(token) is None
    async with await Store.open(path) as store:
        assert (await KeptDevices.load(store, max_devices=5)).devices() == []


async def test_who_waits_for_a_revocation_is_told(path: Path) -> None:
    async with await Store.open(path) as store:
        kept = await KeptDevices.load(store, max_devices=5)
        script, _ = await kept.add(DeviceKind.TOKEN, "logger")
        waiting = asyncio.create_task(kept.revoked(script.id))
        await asyncio.sleep(0)
        assert not waiting.done()
        await kept.revoke(script.id)
        await waiting
        await kept.revoked(script.id)


async def test_who_was_revoked_does_not_come_back_from_a_snapshot(path: Path) -> None:
    async with await Store.open(path) as store:
        kept = await KeptDevices.load(store, max_devices=5)
        script, token = await kept.add(DeviceKind.TOKEN, "revoked")
        store.snapshots.want()
        await store.snapshots.idle()
        assert snapshots(path) != []
        await kept.revoke(script.id)
    with closing(sqlite3.connect(path)) as connection:
        ((page, size),) = connection.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema"
            " WHERE name = 'devices'"
        )
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : (page - 1) * size + 64] = b"\xff" * 64
    path.write_bytes(content)
    async with await Store.open(path) as store:
        assert store.notices != ()
        kept = await KeptDevices.load(store, max_devices=5)
        assert kept.recognise(token) is None


def test_credentials_are_all_different_and_nothing_else_is_one() -> None:
    made = [Credential.new() for _ in range(500)]
    assert len({str(credential) for credential in made}) == 500
    assert all(Credential.parse(str(credential)) == credential for credential in made)
    for text in ("", "lowmaf_", "lowmaf_1", "lowmaf_1_", "lowmaf__x", "lowmaf_1_é", "x" * 200):
        assert Credential.parse(text) is None
