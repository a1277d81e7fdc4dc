"""One push: to the address that was checked, under the host's own name, with its own certificate."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import certifi
import pytest
from webhook_receiver import receiving, takes_all

from daemon.webhooks.chunks import chunks_of
from daemon.webhooks.hosts import AllowedHosts
from daemon.webhooks.sender import PushFailedError, WebhookSender

CHUNK = chunks_of("0123456789abcdef", 0, b"{}", final=True)[0]


@pytest.fixture
def hooks_is_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name hooks.example leads to this machine; returns what was resolved."""
    resolve, asked = socket.getaddrinfo, []

    def resolved(host: Any, *arguments: Any, **named: Any) -> Any:
        asked.append(host)
        return resolve("127.0.0.1" if host == "hooks.example" else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    return asked


@contextlib.asynccontextmanager
async def sending(url: str, networks: tuple[str, ...] = ("127.0.0.0/8",)) -> AsyncIterator[WebhookSender]:
    port = url.split(":")[2].partition("/")[0]
    hosts = AllowedHosts([f"hooks.example:{port}"], networks)
    sender = WebhookSender(hosts.receiver(url), hosts, timeout_s=10.0, connections=2)
    try:
        yield sender
    finally:
        await sender.close()


async def test_the_name_is_resolved_once_and_stays_in_the_host_header(hooks_is_here: list[str]) -> None:
    async with receiving() as (host, received):
        port = host.rpartition(":")[2]
        url = f"http://hooks.example:{port}/path?token=x"
        async with sending(url) as sender:
            await sender.push(url, CHUNK)
            await sender.push(url, CHUNK)
        assert received.heads[0].startswith("post /path?token=x http/1.1")
        assert f"\r\nhost: hooks.example:{port}\r\n" in received.heads[0]
        assert "\r\ncontent-type: application/json\r\n" in received.heads[0]
        assert received.connections == 1
        assert hooks_is_here.count("hooks.example") == 1


async def test_a_name_that_leads_to_this_machine_is_not_followed_unless_allowed(
    hooks_is_here: list[str],
) -> None:
    async with receiving() as (host, received):
        url = f"http://hooks.example:{host.rpartition(':')[2]}/"
        async with sending(url, networks=()) as sender:
            with pytest.raises(PushFailedError, match=r"leads to 127.0.0.1, which is no public address"):
                await sender.push(url, CHUNK)
        assert received.connections == 0
    assert "hooks.example" in hooks_is_here


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for hooks.example that vouches for itself, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    path = tmp_path / "hooks.pem"
    command = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hooks.example -addext "
        f"subjectAltName=DNS:hooks.example -keyout {path} -out {tmp_path}/c.pem"
    )
    subprocess.run(command.split(), check=True, capture_output=True, timeout=60)
    path.write_bytes(path.read_bytes() + (tmp_path / "c.pem").read_bytes())
    return path


@pytest.mark.parametrize("trusted", [True, False])
async def test_tls_is_checked_against_the_name(
    hooks_is_here: list[str], certificate: Path, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    encrypted.load_cert_chain(certificate)
    if trusted:
        monkeypatch.setattr(certifi, "where", lambda: str(certificate))
    async with receiving(takes_all, encrypted) as (host, received):
        url = f"https://hooks.example:{host.rpartition(':')[2]}/"
        async with sending(url) as sender:
            if trusted:
                await sender.push(url, CHUNK)
                assert len(received.bodies) == 1
            else:
                with pytest.raises(PushFailedError, match="CERTIFICATE_VERIFY_FAILED"):
                    await sender.push(url, CHUNK)
                assert received.bodies == []
    assert "hooks.example" in hooks_is_here


async def test_nobody_listens(hooks_is_here: list[str]) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://hooks.example:{bound.getsockname()[1]}/"
        async with sending(url) as sender:
            with pytest.raises(PushFailedError, match=r"hooks\.example port"):
                await sender.push(url, CHUNK)
    assert "hooks.example" in hooks_is_here
