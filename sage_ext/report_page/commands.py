"""The command ``sage-ext report``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..run_argument import Parser, add_run, named_run

DESCRIPTION = """\
Writes one HTML page about a run, with everything in it: what the run was, its curves, what its context knows, how
surely each broken law is told from its possible twin, and its dreams as filmstrips with their surprise, worst first.
It needs no server and no network, and neither simulator nor checkpoint is touched. A run at work can be reported on.
"""
EPILOG = """\
examples:
  sage-ext report --latest
  sage-ext report runs/NAME --out page.html
  python -m bench.probes --run latest --json probes.json && sage-ext report --latest --probes probes.json

`sage-ext dream watch RUN` saves the same dreams as a film with their sound.
"""


def report(argv: Sequence[str]) -> int:
    """``sage-ext report RUN|--latest [--out FILE] [--probes FILE]``.

    Args:
        argv: What follows the command.

    Raises:
        SageError: No such run, it told nothing yet, or a file cannot be read or written.
    """
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="sage-ext report", description=DESCRIPTION, epilog=EPILOG, formatter_class=form)
    add_run(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in the run's folder")
    parser.add_argument(
        "--probes", type=Path, metavar="FILE", help="rows of bench.probes; default: probes.json in the run's folder"
    )
    options = parser.parse_args(argv)
    run = named_run(options)
    from ..runs import write_whole
    from .page import gather, page

    out = options.out or run.path / "report.html"
    text = page(gather(run, options.probes))
    write_whole(out, text)
    print(f"{out}: {len(text.encode()) / 1e6:.1f} MB; open it in a browser", flush=True)
    return 0
