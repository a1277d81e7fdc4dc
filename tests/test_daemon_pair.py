"""``lowmaf pair`` and ``lowmaf token`` against a running daemon; the first code; the diagnosis file."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from daemon_process import running_demo

from daemon.cli import main
from daemon.commands import pair
from daemon.config.config import load_config
from daemon.serving import own_addresses, pairing_notice
from daemon.serving.diagnosis import RecentMessages, _without_secrets, configuration_document
from daemon.serving.pairing_notice import invite_first_device, phone_origins, qr_text
from web.device_shelf import Device, DeviceKind
from web.pairing import Pairing

CODE = re.compile(r"\b[2-9A-Z]{4}-[2-9A-Z]{4}\b")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_demo(tmp_path_factory.mktemp("car")) as found:
        yield found


def test_a_phone_is_let_in_by_the_code_that_is_shown(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pair", "--address", address]) == 0
    shown = capsys.readouterr().out
    assert "within 5 min" in shown
    assert 'host = "0.0.0.0"' in shown, "it listens on this machine only"
    (code,) = CODE.findall(shown)
    answer = httpx.post(f"{address}api/v1/pair", json={"code": code, "name": "phone\x1b[31m"})
    assert answer.status_code == 201
    assert main(["token", "list", "--address", address]) == 0
    listed = capsys.readouterr().out
    assert answer.json()["id"] in listed
    assert "\x1b" not in listed


def test_where_phones_reach_it_a_qr_code_is_drawn(
    address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair, "own_addresses", lambda: ["127.0.0.1", "192.0.2.200"])
    monkeypatch.setattr(pair, "is_listening", lambda host, port: host == "127.0.0.1")
    assert main(["pair", "--address", address]) == 0
    shown = capsys.readouterr().out
    assert "▀" in shown
    assert f"open {address.rstrip('/')} and enter" in shown
    assert "192.0.2.200" not in shown


def test_a_token_lets_a_script_in_until_it_is_revoked(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "create", "logger", "--address", address]) == 0
    token = capsys.readouterr().out.strip()
    via_proxy = {"x-forwarded-for": "192.168.4.20"}  # so that it is not taken for somebody at the machine
    headers = {"authorization": f"Bearer {token}", **via_proxy}
    command = {"command": "resume"}
    assert httpx.post(f"{address}api/v1/commands", json=command, headers=via_proxy).status_code == 401
    assert httpx.post(f"{address}api/v1/commands", json=command, headers=headers).status_code == 200
    assert main(["token", "list", "--json", "--address", address]) == 0
    listed = capsys.readouterr().out
    assert token.rpartition("_")[2] not in listed
    (found,) = [one for one in json.loads(listed)["devices"] if one["name"] == "logger"]
    assert found["last_used_wall_s"] is not None
    assert main(["token", "revoke", found["id"], "--address", address]) == 0
    assert httpx.post(f"{address}api/v1/commands", json=command, headers=headers).status_code == 401
    assert main(["token", "revoke", found["id"], "--address", address]) == 1
    assert "there is no paired device or token" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("http://127.0.0.1:9/", "does not answer at"),
        ("ftp://x", "http://HOST:PORT/ is needed"),
        ("http://127.0.0.1:x/", "is no address"),
        ("", "http://HOST:PORT/ is needed"),
    ],
)
def test_where_no_lowmaf_answers_one_line_says_so(
    given: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pair", "--address", given]) == 1
    complaint = capsys.readouterr().err
    assert words in complaint
    assert complaint.count("\n") == 1


class Shelf:
    """Devices as a test wants them."""

    def __init__(self, *devices: Device) -> None:
        self._devices = devices

    def devices(self) -> tuple[Device, ...]:
        return self._devices


PAIRED = Device(id="1", kind=DeviceKind.DEVICE, name="phone", added_wall_s=0.0)


@pytest.mark.parametrize(
    ("host", "devices", "opens"),
    [
        ("0.0.0.0", (), "http://192.168.4.1:8000 or http://10.0.0.2:8000"),
        ("192.168.4.7", (), "http://192.168.4.7:8000"),
        ("::", (), "http://192.168.4.1:8000"),
        ("fd00::7", (), "http://[fd00::7]:8000"),
        ("car.example", (), "http://192.168.4.1:8000"),
        ("127.0.0.1", (), None),
        ("::1", (), None),
        ("localhost", (), None),
        ("0.0.0.0", (PAIRED,), None),
    ],
)
def test_where_nobody_is_paired_yet_a_code_is_told_at_the_start(
    host: str, devices: tuple[Device, ...], opens: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing_notice, "own_addresses", lambda: ["192.168.4.1", "10.0.0.2"])
    told: list[str] = []
    pairing = Pairing(300.0, lambda: 0.0)
    invite_first_device(Shelf(*devices), pairing, host, "http://127.0.0.1:8000/", told.append)  # type: ignore[arg-type]
    if opens is None:
        assert told == []
        return
    assert opens in told[0]
    pairing.redeem(CODE.findall(told[0])[0], "192.168.4.20")


def test_a_qr_code_is_square_and_quiet_at_its_edge() -> None:
    (origin,) = phone_origins(["192.168.4.1"], "http://127.0.0.1:8000/")
    lines = qr_text(f"{origin}/#settings/{'A' * 32}").splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) in (2 * len(lines), 2 * len(lines) - 1)
    assert set(lines[0]) == {"█"}


def test_own_addresses_leave_out_what_only_this_machine_reaches(tmp_path: Path) -> None:
    assert not [found for found in own_addresses.own_addresses() if found.startswith("127.")]
    (tmp_path / "lo").mkdir()
    (tmp_path / "no-such-interface").mkdir()
    assert own_addresses.own_addresses(tmp_path) == []
    assert own_addresses.own_addresses(tmp_path / "nothing") == []
    assert not own_addresses.is_listening("127.0.0.1", 9)


def test_the_diagnosis_tells_of_the_machine_and_keeps_secrets(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "create", "secret-keeper", "--address", address]) == 0
    token = capsys.readouterr().out.strip()
    answer = httpx.get(f"{address}api/v1/diagnosis")
    document: Mapping[str, Any] = answer.json()
    assert document["format"] == "lowmaf.diagnosis/1"
    assert document["devices"]["token"] >= 1
    assert document["status"]["link"]["driver"] == "simulator"
    assert {"numpy", "fastapi", "segno"} <= set(document["packages"])
    assert document["schema_version"] >= 4
    assert token.split("_", 2)[2] not in answer.text


def test_what_looks_like_a_secret_is_left_out_wherever_it_stands() -> None:
    hidden = _without_secrets(
        {
            "a": ["http://me:pass@nas.local/hook?key=abc", Path("/var/lib/x")],
            "b": {"c": "got lowmaf_1a2b3c4d_abc-DEF_9 there", "n": 5, "none": None},
        }
    )
    assert hidden == {
        "a": ["http://…@nas.local/hook?…", "/var/lib/x"],
        "b": {"c": "got … there", "n": 5, "none": None},
    }


def test_the_configuration_is_told_section_by_section(tmp_path: Path) -> None:
    file = tmp_path / "lowmaf.toml"
    file.write_text('[web]\nhost_names = ["pi"]\nread_requires_pairing = true\n')
    document = configuration_document(load_config(file, {}))
    assert document["web"]["host_names"] == ["pi"]
    assert document["web"]["read_requires_pairing"] is True
    assert json.loads(json.dumps(document))["storage"]["database"] == str(tmp_path / "lowmaf.sqlite3")


def test_recent_messages_hold_warnings_of_ours_and_no_codes() -> None:
    recent = RecentMessages()
    log = logging.getLogger("daemon.somewhere")
    with recent.listening():
        log.warning("the disk is full")
        log.info("enter ABCD-2345")
        for number in range(300):
            log.error("again %d", number)
    log.error("afterwards")
    messages = recent.messages()
    assert len(messages) == 200
    assert messages[-1]["message"] == "again 299"
    assert messages[-1]["level"] == "ERROR"
    assert not [one for one in messages if "ABCD" in one["message"]]
