"""Whether dreams can be told without understanding: ``python -m bench.dream_balance``."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from .table import Table, arguments, run_bench, say

DESCRIPTION = """\
Looks for what would give an evaluation set away: a small network that sees single pictures from the violation on, one
that sees last pictures only, and two numbers a scene, its total change of pixels and its loudness. None of them knows
what came before what, so none should tell impossible scenes from possible ones.

rows, for all kinds together (case all) and law by law:
  single pictures, last pictures  accuracy           cross-validated over pairs; target at most 0.60 for all kinds
  pixel motion, loudness          pairwise_accuracy  share of pairs whose impossible scene has more; 0.5 is chance,
                                                     and 0 tells as much as 1
"""
EPILOG = """\
examples:
  python -m bench.dream_set --pairs 8
  python -m bench.dream_balance --set runs/bench/dreams/Sage-Navigation-0
"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write; see :func:`bench.table.run_bench`."""
    parser = arguments("dream_balance", DESCRIPTION, EPILOG)
    parser.add_argument(
        "--set", type=Path, nargs="+", default=[Path("runs/bench/dreams/Sage-Navigation-0")], metavar="DIR",
        help="folders of bench.dream_set (default %(default)s)",
    )  # fmt: skip
    return run_bench(measure, parser.parse_args(argv))


def measure(options: Namespace) -> Table:
    """All rows.

    Raises:
        SageError: A set cannot be read.
    """
    import torch

    from sage_ext.dream.evaluation import EvaluationSet

    from .balance import Frames, classified, frames, loudness, motion, pairwise

    sets = [EvaluationSet(folder) for folder in options.set]
    table = Table("dream_balance", {"pairs": sum(map(len, sets))}, [options.seed])
    laws = [law for part in sets for scenes in part for law in scenes.law]
    cases = {"all": torch.ones(len(laws), dtype=torch.bool)}
    cases |= {law: torch.tensor([one == law for one in laws]) for law in dict.fromkeys(laws)}
    for arm, last in (("last pictures", True), ("single pictures", False)):
        say(arm)
        data = frames((scenes for part in sets for scenes in part), last)
        for case, which in cases.items():
            some = which[data.pair]
            table.add(
                arm, case, "accuracy",
                classified(Frames(data.pictures[some], data.impossible[some], data.pair[some]), options.seed),
            )  # fmt: skip
    for arm, number in (("pixel motion", motion), ("loudness", loudness)):
        values = [
            torch.cat([number(getattr(scenes, name), scenes.at) for part in sets for scenes in part])
            for name in ("impossible", "twin")
        ]
        for case, which in cases.items():
            table.add(arm, case, "pairwise_accuracy", pairwise(values[0][which], values[1][which]))
    return table


if __name__ == "__main__":
    sys.exit(main())
