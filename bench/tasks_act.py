"""Learning to act for ``bench.tasks``: on the contexts of a given mind, from a run's demonstrations."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sage_ext.act.learner import Learner
from sage_ext.config import load_config
from sage_ext.interrupt import StopRequest
from sage_ext.memory import Memory
from sage_ext.mind import Mind
from sage_ext.report import Reporter
from sage_ext.runs import as_json, write_whole


@dataclass(frozen=True)
class Kept:
    """Where a learner keeps what it learns.

    Attributes:
        policy: See :class:`sage_ext.runs.Run`.
        acting: See there.
    """

    policy: Path
    acting: Path


def learn(run: Path, mind: Path, folder: Path, updates: int, batch: int | None, device: str, seed: int) -> None:
    """Learn, and say how long it took; what was interrupted is gone on with.

    Args:
        run: Folder of the run with the demonstrations.
        mind: Folder that :meth:`sage_ext.mind.Mind.save` wrote; only its encoder is used, whatever its task.
        folder: Where the policy goes.
        updates: Of the weights.
        batch: Stretches an update; None for as many as configured.
        device: Torch device.
        seed: Of everything that is drawn.
    """
    import gymnasium as gym

    start = time.monotonic()
    config = load_config([f"act.updates={updates}", *([] if batch is None else [f"act.batch={batch}"])])
    with Memory.open(run / "memory", shared=True) as memory, StopRequest() as stop:
        known = Mind.load(mind, config.sleep, device)
        width = memory.sample(1, keys=["action"])["action"].shape[-1]
        space, kept = gym.spaces.Box(-1.0, 1.0, (width,)), Kept(folder / "policy", folder / "acting")
        learner = Learner(config.act, known, memory, kept, space, Reporter(), stop, seed)
        told = learner.go([0, 0], _no_rounds)
    write_whole(folder / "act.json", as_json(told | {"seconds": round(time.monotonic() - start, 1), "device": device}))


def _no_rounds(number: int) -> float:
    raise AssertionError("act.rounds is 0")


def main(argv: list[str] | None = None) -> int:
    """Learn: a JSON object of the arguments of :func:`learn`."""
    parser = argparse.ArgumentParser(prog="python -m bench.tasks_act", description=main.__doc__)
    parser.add_argument("settings")
    given = json.loads(parser.parse_args(argv).settings)
    learn(Path(given.pop("run")), Path(given.pop("mind")), Path(given.pop("folder")), **given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
