"""Which hosts may be pushed to, and at which addresses."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from daemon.webhooks.hosts import AllowedHosts, HostForbiddenError, HostUnknownError, Receiver

ALLOWED = AllowedHosts(
    ["hooks.example", "NAS.local:8123", "192.168.1.5", "[fd00::1]:90"], ["10.0.0.0/8", "fd00::/8"]
)


@pytest.mark.parametrize(
    ("url", "receiver"),
    [
        ("https://hooks.example/a?b=c", Receiver("https", "hooks.example", 443)),
        ("http://HOOKS.example.:443/", Receiver("http", "hooks.example", 443)),
        ("http://nas.local:8123/x", Receiver("http", "nas.local", 8123)),
        ("http://192.168.1.5", Receiver("http", "192.168.1.5", 80)),
        ("http://[fd00::1]:90/", Receiver("http", "fd00::1", 90)),
    ],
)
def test_allowed(url: str, receiver: Receiver) -> None:
    assert ALLOWED.receiver(url) == receiver


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://other.example/", "pushes to other.example port 80 are not allowed"),
        ("http://sub.hooks.example/", "not allowed"),
        ("http://hooks.example:8080/", "port 8080 are not allowed"),
        ("http://nas.local/", "port 80 are not allowed"),
        ("http://192.168.1.6/", "not allowed"),
        ("http://3232235781/", "not allowed"),
        ("http://hooks.example@evil.example/", "no user, password"),
        ("http://user:pass@hooks.example/", "no user, password"),
        ("https://hooks.example/#part", "fragment"),
        ("ftp://hooks.example/", "begins with http:// or https://"),
        ("file:///etc/passwd", "begins with http:// or https://"),
        ("http:///path", "begins with http:// or https://"),
        ("hooks.example", "begins with http:// or https://"),
        ("http://hooks.example:99999/", "is no URL"),
        ("http://[::1/", "is no URL"),
        ("http://hooks.example/ x", "printable ASCII"),
        ("http://hooks.example/\r\nx: y", "printable ASCII"),
        ("http://hööks.example/", "printable ASCII"),
        ("http://hooks.example/" + "x" * 2000, "at most 2000"),
    ],
)
def test_forbidden(url: str, words: str) -> None:
    with pytest.raises(HostForbiddenError) as caught:
        ALLOWED.receiver(url)
    assert words in str(caught.value)


def test_nothing_is_allowed_unless_it_is_named() -> None:
    with pytest.raises(HostForbiddenError, match="allows none"):
        AllowedHosts().receiver("http://127.0.0.1/")


@pytest.mark.parametrize("entry", ["http://hooks.example", "hooks.example/path", "a:0", "a:70000", "", "a b"])
def test_entries_that_are_no_hosts(entry: str) -> None:
    with pytest.raises(ValueError, match="a name or an address is needed"):
        AllowedHosts([entry])


def test_a_network_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"192.168.1.1/16.*one looks like 192.168.0.0/16"):
        AllowedHosts([], ["192.168.1.1/16"])


@pytest.mark.parametrize(
    ("leads_to", "address"),
    [
        (["93.184.215.14"], "93.184.215.14"),
        (["10.1.2.3"], "10.1.2.3"),
        (["192.168.1.5", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"], "2606:2800:21f:cb07:6820:80da:af6b:8b2c"),
        (["fd00::5%eth0"], "fd00::5"),
        (["127.0.0.1"], None),
        (["0.0.0.0"], None),
        (["169.254.169.254"], None),
        (["192.168.1.5"], None),
        (["224.0.0.1"], None),
        (["::1"], None),
        (["fe80::1"], None),
        (["::ffff:127.0.0.1"], None),
        (["::ffff:10.0.0.1"], "::ffff:10.0.0.1"),
        (["64:ff9b::7f00:1"], None),
        (["2002:7f00:1::"], None),
    ],
)
async def test_a_name_leads_only_to_public_addresses_and_named_networks(
    monkeypatch: pytest.MonkeyPatch, leads_to: list[str], address: str | None
) -> None:
    def resolved(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, 443)) for found in leads_to]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    receiver = ALLOWED.receiver("https://hooks.example/")
    if address is not None:
        assert await ALLOWED.address(receiver) == address
        return
    with pytest.raises(HostForbiddenError, match=r"is no public address; \[webhooks\] networks"):
        await ALLOWED.address(receiver)


async def test_a_host_given_by_its_address_is_that_address() -> None:
    assert await ALLOWED.address(Receiver("http", "192.168.1.5", 80)) == "192.168.1.5"


async def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(HostUnknownError, match=r"hooks.example cannot be resolved: .*not known"):
        await ALLOWED.address(Receiver("https", "hooks.example", 443))
