"""The command ``sage-ext dream watch``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import SageError
from ..run_argument import Parser, add_run, named_run

MOST_SLOW = 16
DESCRIPTION = """\
Saves a run's dreams as an MP4 film: the possible twin at the left, the impossible scene at the right, framed in red
from where its law is broken, their surprise running below, worst misses first. Each dream is shown twice: first the
twin is heard, then the dream.

Only levels in mel bands are remembered of a sound. What is heard is made again from them (Griffin-Lim): loudness,
pitch, time and side are right, the timbre is approximate.
"""
EPILOG = """\
examples:
  sage-ext dream watch --latest
  sage-ext dream watch runs/NAME --out dreams.mp4 --slow 1 --count 5
"""


def watch(argv: Sequence[str]) -> int:
    """``sage-ext dream watch RUN|--latest [--out FILE] [--slow N] [--count N] [--silent]``.

    Args:
        argv: What follows the command.

    Raises:
        SageError: No such run, it has not dreamt, or the film cannot be made.
    """
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="sage-ext dream watch", description=DESCRIPTION, epilog=EPILOG, formatter_class=form)
    add_run(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: dreams.mp4 in the run's folder")
    parser.add_argument("--slow", type=int, default=4, metavar="N", help="times slower than lived, 1..16; default 4")
    parser.add_argument("--count", type=int, metavar="N", help="so many dreams; default: all that were kept")
    parser.add_argument("--silent", action="store_true", help="without sound; each dream is shown once")
    options = parser.parse_args(argv)
    if not 1 <= options.slow <= MOST_SLOW:
        raise SageError("slow", options.slow, f"must be 1..{MOST_SLOW}", "use 4")
    if options.count is not None and options.count < 1:
        raise SageError("count", options.count, "must be at least 1", "leave it out for all dreams")
    run = named_run(options)
    from ..dream_file import load_dreams
    from .film import film

    dreams = load_dreams(run.scenes)[: options.count]
    if not dreams:
        raise SageError("dreams", run.path, "has none to watch", f"make some: sage-ext dream {run.path}")
    out = options.out or run.path / "dreams.mp4"
    mend = "name a file in a writable folder"
    if not os.access(out.parent, os.W_OK):
        raise SageError("out", out, "cannot be written", mend)
    try:
        film(out, dreams, options.slow, options.silent)
    except OSError as error:
        raise SageError("out", out, f"cannot be written ({error.strerror})", mend) from error
    print(f"{out}: {len(dreams)} dreams, {out.stat().st_size / 1e6:.1f} MB", flush=True)
    return 0
