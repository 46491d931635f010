"""The commands ``sage-ext view`` and ``sage-ext export``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ..errors import SageError
from ..interrupt import StopRequest
from ..run_argument import Parser, add_run, named_run


def view(argv: Sequence[str]) -> int:
    """``sage-ext view RUN|--latest [--host H] [--port P]``: serve a page that shows a run, until Ctrl-C.

    Args:
        argv: What follows the command.

    Raises:
        SageError: No such run, an address that cannot be listened on, or viser is not installed.
    """
    parser = Parser(prog="sage-ext view")
    add_run(parser)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args(argv)
    run = named_run(options).path
    if not 0 <= options.port < 65536:
        raise SageError("port", options.port, "must be 0..65535", "use 8080")
    _need("viser", "view")
    from .guard import is_loopback
    from .view import View, be_modest

    page = View(run, options.host, options.port)
    be_modest()
    print(f"view of {run}: {page.url}", flush=True)
    if not is_loopback(options.host):
        print("whoever reaches this address can watch, pause and stop the job: there is no password", flush=True)
    with StopRequest() as stop:
        page.serve(lambda: stop.requested)
    return 0


def export(argv: Sequence[str]) -> int:
    """``sage-ext export rerun RUN|--latest [--out FILE]``: write remembered episodes as a Rerun recording.

    Args:
        argv: What follows the command.

    Raises:
        SageError: No such run, nothing remembered, a file that cannot be written, or Rerun is not installed.
    """
    parser = Parser(prog="sage-ext export")
    parser.add_argument("format", choices=["rerun"])
    add_run(parser)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(argv)
    run = named_run(options).path
    _need("rerun", "rerun")
    from .rerun_export import export_rerun

    out = options.out or run / "run.rrd"
    episodes, looks = export_rerun(run, out)
    print(f"{out}: {episodes} episodes, {looks} looks, {out.stat().st_size / 1e6:.1f} MB; rerun {out}", flush=True)
    return 0


def _need(module: str, extra: str) -> None:
    if find_spec(module) is None:
        raise SageError(extra, module, "is not installed", f"install it: pip install 'sage-ext[{extra}]'")
