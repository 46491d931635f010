"""Who may talk to the page: tried over real sockets against the server as it is started."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from sage_ext.errors import SageError
from sage_ext.live.guard import GuardedServer, is_loopback, refusal


@pytest.fixture(scope="module")
def server() -> Iterator[GuardedServer]:
    found = GuardedServer("127.0.0.1", 0, "test")
    yield found
    found.stop()


def ask(server: GuardedServer, path: str = "/", host: str | None = None, *more: str) -> str:
    """The status line that a raw request gets, and the first bytes of what follows."""
    port = server.get_port()
    lines = [f"GET {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", *more, "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall("\r\n".join(lines).encode())
        return link.recv(2000).decode(errors="replace")


WEBSOCKET = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Protocol: viser-v1.1.1",
)


def test_the_page_and_its_websocket_are_served_to_itself(server: GuardedServer) -> None:
    assert " 200 " in ask(server).splitlines()[0]
    assert " 200 " in ask(server, "/?x=../..").splitlines()[0]
    own = f"Origin: http://127.0.0.1:{server.get_port()}"
    assert " 101 " in ask(server, "/", None, own, *WEBSOCKET).splitlines()[0]
    assert " 101 " in ask(server, "/", None, *WEBSOCKET).splitlines()[0]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
def test_another_site_gets_neither_page_nor_websocket(server: GuardedServer, origin: str) -> None:
    for more in ((), WEBSOCKET):
        answer = ask(server, "/", None, f"Origin: {origin}", *more)
        assert " 403 " in answer.splitlines()[0] and f"refused: origin {origin}" in answer


def test_a_name_made_to_point_here_is_refused(server: GuardedServer) -> None:
    for more in ((), WEBSOCKET):
        assert " 403 " in ask(server, "/", "evil.example", "Origin: http://evil.example", *more).splitlines()[0]


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/%252e%252e/x",
        "/..\\..\\x",
        "/assets/%5c..%5cx",
        "//etc/passwd",
    ],
)
def test_path_tricks_are_refused(server: GuardedServer, path: str) -> None:
    answer = ask(server, path)
    assert " 403 " in answer.splitlines()[0] and "root:" not in answer


def test_two_hosts_or_none_are_refused(server: GuardedServer) -> None:
    assert " 403 " in ask(server, "/", None, "Host: evil.example").splitlines()[0]
    assert refusal("/", {}, "127.0.0.1") is not None


def test_nobody_can_open_a_way_here_from_the_internet(server: GuardedServer) -> None:
    assert server.request_share_url() is None
    assert server._share_tunnel is None


@pytest.mark.parametrize(
    ("host", "own", "fine"),
    [
        ("localhost:8080", "127.0.0.1", True),
        ("[::1]:8080", "::1", True),
        ("192.168.1.5:8080", "127.0.0.1", False),
        ("192.168.1.5:8080", "0.0.0.0", True),
        ("robot.lab:8080", "robot.lab", True),
        ("evil.example:8080", "0.0.0.0", False),
        ("127.0.0.1:80x", "127.0.0.1", False),
    ],
)
def test_names_that_are_ours(host: str, own: str, fine: bool) -> None:
    assert (refusal("/", {"host": host, "origin": f"http://{host}"}, own) is None) == fine


def test_a_version_of_viser_that_goes_round_the_check_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    from viser.infra import _infra

    serve = _infra.websockets.asyncio.server.serve
    elsewhere = type("Elsewhere", (), {"asyncio": type("A", (), {"server": type("S", (), {"serve": serve})})})
    monkeypatch.setattr(_infra, "websockets", elsewhere)
    with pytest.raises(SageError, match="starts its server in another way"):
        GuardedServer("127.0.0.1", 0, "test")


def test_an_address_of_another_machine_is_one_line() -> None:
    with pytest.raises(SageError, match="host=192.0.2.1: cannot be listened on"):
        GuardedServer("192.0.2.1", 0, "test")
    assert is_loopback("127.0.0.1") and is_loopback("localhost") and is_loopback("::1")
    assert not is_loopback("0.0.0.0") and not is_loopback("robot.lab")
