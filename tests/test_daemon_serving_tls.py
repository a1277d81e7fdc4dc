"""The page over https: certificates that can be used and those that cannot, cookies, streams and limits."""

from __future__ import annotations

import asyncio
import calendar
import contextlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from daemon.cli import main
from daemon.config.check import check_config
from daemon.doctor.service import health
from daemon.errors import UsageError
from daemon.serving.tls import TlsError, tls_context, validity, validity_trouble

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="openssl, which makes the certificates, is not here")


@dataclass(frozen=True)
class Certificate:
    """Two PEM files. The names in it are those that README tells to put there."""

    certificate: Path
    key: Path


def openssl(*words: str) -> None:
    assert OPENSSL is not None
    subprocess.run([OPENSSL, *words], check=True, capture_output=True)


def made(folder: Path, name: str = "car") -> Certificate:
    found = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "825"),
        *("-keyout", str(found.key), "-out", str(found.certificate), "-subj", "/CN=lowmaf.local"),
        *("-addext", "subjectAltName=DNS:lowmaf.local,DNS:localhost,IP:127.0.0.1"),
    )
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return made(tmp_path_factory.mktemp("tls"))


# ---- certificates


def test_a_certificate_with_its_key_can_be_used(pair: Certificate) -> None:
    assert tls_context(pair.certificate, pair.key).minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("wrong", ["certificate", "key"])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "No such file"),
        ("folder", "Is a directory"),
        ("closed", "chgrp lowmaf FILE"),
        ("text", "(PEM,"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    pair: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, kind: str, words: str
) -> None:
    path = tmp_path / "wrong.pem"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("hello")
    elif kind == "closed":
        path.write_text("secret")
        read = Path.read_bytes

        def refuse(self: Path) -> bytes:
            if self == path:
                raise PermissionError(13, "Permission denied")
            return read(self)

        monkeypatch.setattr(Path, "read_bytes", refuse)
    files = {"certificate": pair.certificate, "key": pair.key, wrong: path}
    with pytest.raises(TlsError) as refused:
        tls_context(files["certificate"], files["key"])
    assert str(refused.value).startswith(f"tls_{wrong}: {path} ")
    assert words in str(refused.value)


def test_the_key_of_another_certificate(pair: Certificate, tmp_path: Path) -> None:
    with pytest.raises(TlsError, match=r"other\.key is not the key of the certificate .*car\.crt"):
        tls_context(pair.certificate, made(tmp_path, "other").key)


def test_a_key_with_a_password_is_refused_without_asking_for_it(pair: Certificate, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    openssl("pkcs8", "-topk8", "-in", str(pair.key), "-out", str(locked), "-passout", "pass:secret")
    with pytest.raises(TlsError, match=r"locked\.key is locked with a password; openssl pkey"):
        tls_context(pair.certificate, locked)


def test_how_long_a_certificate_holds(pair: Certificate) -> None:
    begins_s, ends_s = validity(ssl.PEM_cert_to_DER_cert(pair.certificate.read_text()))
    assert ends_s - begins_s == 825 * 86_400
    assert validity_trouble(pair.certificate, begins_s + 1.0) is None
    assert "has expired on " in str(validity_trouble(pair.certificate, ends_s + 1.0))
    assert "which is not yet by our clock" in str(validity_trouble(pair.certificate, begins_s - 86_400.0))


def test_dates_beyond_2050_are_written_otherwise(tmp_path: Path) -> None:
    old = Certificate(tmp_path / "old.crt", tmp_path / "old.key")
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "36500", "-subj", "/CN=old"),
        *("-keyout", str(old.key), "-out", str(old.certificate)),
    )
    _, ends_s = validity(ssl.PEM_cert_to_DER_cert(old.certificate.read_text()))
    assert ends_s > calendar.timegm((2120, 1, 1, 0, 0, 0))


@pytest.mark.parametrize("cut", [0, 1, 5, 40, 100])
def test_what_is_no_certificate_has_no_dates(pair: Certificate, cut: int) -> None:
    der = ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())
    with pytest.raises((ValueError, StopIteration)):
        validity(der[:cut])


# ---- configuration


def configured(folder: Path, more: str) -> Path:
    path = folder / "lowmaf.toml"
    path.write_text(f'[web]\nport = 0\n{more}\n[storage]\ndatabase = "car.sqlite3"\n')
    return path


def test_half_of_the_two_is_refused(pair: Certificate, tmp_path: Path) -> None:
    path = configured(tmp_path, f'tls_certificate = "{pair.certificate}"')
    with pytest.raises(
        UsageError, match=r"\[web\] tls_certificate is given without tls_key: https needs both"
    ):
        check_config(path, {})
    path = configured(tmp_path, f'tls_key = "{pair.key}"')
    with pytest.raises(UsageError, match=r"\[web\] tls_key is given without tls_certificate"):
        check_config(path, {})


def test_check_says_what_is_wrong_with_them(pair: Certificate, tmp_path: Path) -> None:
    path = configured(tmp_path, f'tls_certificate = "{pair.key}"\ntls_key = "{pair.key}"')
    with pytest.raises(
        UsageError, match=r"lowmaf\.toml: \[web\] tls_certificate: .* has no certificate in it"
    ):
        check_config(path, {})


# ---- the daemon


@contextlib.contextmanager
def running(folder: Path, pair: Certificate) -> Iterator[str]:
    """A daemon that serves https; yields its address."""
    keys = f'tls_certificate = "{pair.certificate}"\ntls_key = "{pair.key}"'
    command = [sys.executable, "-m", "daemon", "run", "--config", str(configured(folder, keys))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr is not None
        try:
            told = ""
            while (found := re.search(r"dashboard at (https://\S+/)", told)) is None:
                line = daemon.stderr.readline()
                assert line, told
                told += line
            yield found.group(1)
        finally:
            daemon.send_signal(signal.SIGTERM)
            told += daemon.stderr.read()
            assert daemon.wait(20.0) == 0, told
        assert "Traceback" not in told, told


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, pair: Certificate) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("car"), pair) as found:
        yield found


@pytest.fixture
async def client(address: str, pair: Certificate) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that trusts this certificate, and no other."""
    trust = ssl.create_default_context(cafile=str(pair.certificate))
    async with httpx.AsyncClient(base_url=address, verify=trust, timeout=20.0) as opened:
        yield opened


async def test_the_page_its_files_and_the_stream_come_over_https(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.status_code == 200
    assert "strict-transport-security" not in page.headers, "see SECURITY.md"
    assert "manifest-src 'self'" in page.headers["content-security-policy"]
    manifest = await client.get("/static/lowmaf.webmanifest")
    assert manifest.headers["content-type"] == "application/manifest+json"
    for icon in manifest.json()["icons"]:
        answer = await client.get(icon["src"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, icon["type"])
    assert (await client.get("/api/v1/sessions")).status_code == 200, "by way of the application too"
    async with client.stream("GET", "/api/v1/stream") as stream:
        assert await anext(stream.aiter_lines())


async def test_the_cookie_is_sent_over_nothing_else(
    client: httpx.AsyncClient, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asyncio.to_thread(main, ["pair", "--address", address]) == 0
    code = re.search(r"^    ([\w-]{8,9})$", capsys.readouterr().out, re.MULTILINE)
    assert code is not None
    paired = await client.post("/api/v1/pair", json={"code": code[1], "name": "phone"})
    assert paired.status_code == 201
    assert paired.headers["set-cookie"].endswith("; HttpOnly; SameSite=Strict; Secure")
    again = await client.get("/")
    assert again.headers["set-cookie"].endswith("; HttpOnly; SameSite=Strict; Secure")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://127.0.0.1:PORT", 422),
        ("https://evil.example", 403),
        ("https://127.0.0.1", 403),
        ("null", 403),
    ],
)
async def test_pages_of_other_origins_change_nothing(
    client: httpx.AsyncClient, origin: str, status: int
) -> None:
    headers = {"origin": origin.replace("PORT", str(client.base_url.port))}
    assert (await client.post("/api/v1/commands", json={}, headers=headers)).status_code == status


def test_doctor_finds_it_answering(address: str) -> None:
    port = httpx.URL(address).port
    assert port is not None
    for scheme, found in (("https", True), ("http", False)):
        assert (health("127.0.0.1", port, scheme) is not None) == found


async def test_the_host_rule_holds(client: httpx.AsyncClient) -> None:
    assert (await client.get("/", headers={"host": "evil.example"})).status_code == 403
    assert (await client.get("/", headers={"host": "lowmaf.local:8000"})).status_code == 200


async def test_whoever_speaks_no_tls_harms_nobody(client: httpx.AsyncClient) -> None:
    port = client.base_url.port
    for sent in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01" + bytes(300), b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(10.0):
            with contextlib.suppress(ConnectionError):
                assert b"200" not in await reader.read()
        writer.close()
    assert (await client.get("/api/v1/status")).status_code == 200


async def test_limits_hold_over_https(address: str, pair: Certificate) -> None:
    url = httpx.URL(address)
    trust = ssl.create_default_context(cafile=str(pair.certificate))
    reader, writer = await asyncio.open_connection("127.0.0.1", url.port, ssl=trust)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000)
    async with asyncio.timeout(10.0):
        assert b" 431 " in await reader.readline()
        with contextlib.suppress(ConnectionError):
            await reader.read()
    writer.close()
