"""Who may talk to the page: requests of other sites, of other names and with path tricks are refused.

viser serves its page and its websocket on one port and asks nobody where they come from, so any site that a browser
has open could read and steer a view on its machine. Here each request is checked before viser sees it.
"""

from __future__ import annotations

import contextlib
import http
import io
import ipaddress
import socket
from collections.abc import Callable
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

import websockets.asyncio.server as websocket_server
from viser import ViserServer
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from ..errors import SageError


class GuardedServer(ViserServer):
    """viser, behind :func:`refusal`.

    Args:
        host: Address to listen on.
        port: Port; the next free one is taken where it is not.
        label: Name of the page.

    Raises:
        SageError: The address cannot be listened on.
    """

    def __init__(self, host: str, port: int, label: str) -> None:
        _check_address(host)
        serve, guarded = websocket_server.serve, False

        def serve_guarded(handler: Any, host: Any, port: Any, *, process_request: Callable, **options: Any) -> Any:
            nonlocal guarded
            guarded = True

            def checked(connection: Any, request: Request) -> Any:
                return _refused(request, own) or process_request(connection, request)

            return serve(handler, host, port, process_request=checked, **options)

        own = host
        # viser has no setting for this; it looks the function up when it starts, and is started when this returns.
        with patch.object(websocket_server, "serve", serve_guarded), contextlib.redirect_stdout(io.StringIO()):
            super().__init__(host=host, port=port, label=label, verbose=False)
        if not guarded:
            self.stop()
            raise SageError("viser", "this version", "starts its server in another way", "install viser==1.1.1")

    def request_share_url(self, verbose: bool = True) -> None:
        """Nothing: viser would open a way here from the internet, and any page may ask for it."""


def refusal(path: str, headers: dict[str, str], own: str) -> str | None:
    """Why a request is refused; None where it is not.

    Args:
        path: As it was sent, with what follows a question mark.
        headers: Lower-case name -> value: ``host`` and ``origin`` count.
        own: Address that is listened on.
    """
    host = headers.get("host", "")
    name = _name(host)
    if name is None or not _is_ours(name, own):
        # A name that was made to point here lets another site read the page as its own.
        return f"host {host[:100]}"
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return f"origin {origin[:100]}"
    plain = path.partition("?")[0]
    for _ in range(3):
        if ".." in plain.replace("\\", "/").split("/") or "\\" in plain or "\0" in plain:
            return "path"
        plain = unquote(plain)
    return None if plain.startswith("/") and not plain.startswith("//") else "path"


def _refused(request: Request, own: str) -> Response | None:
    if len(request.headers.get_all("Host")) != 1 or len(request.headers.get_all("Origin")) > 1:
        why: str | None = "headers"
    else:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        why = refusal(request.path, headers, own)
    if why is None:
        return None
    body = f"refused: {why}\n".encode()
    kind = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), "Connection": "close"}
    return Response(http.HTTPStatus.FORBIDDEN, "Forbidden", Headers(kind), body)


def _name(host: str) -> str | None:
    """The name in a ``Host`` header, without the port; None where there is none."""
    name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
    if port and not port.isdigit():
        return None
    return name.removeprefix("[").removesuffix("]").lower() or None


def _is_ours(name: str, own: str) -> bool:
    if name in ("localhost", own.lower(), socket.gethostname().lower()):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    # Nobody can make an address point elsewhere; on a loopback only loopback is asked for.
    return address.is_loopback or not is_loopback(own)


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_address(host: str) -> None:
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, number) as probe:
            probe.bind(address)
    except OSError as error:
        raise SageError(
            "host", host, f"cannot be listened on ({error.strerror})", "leave it out for 127.0.0.1"
        ) from error
