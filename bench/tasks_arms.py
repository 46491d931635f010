"""Where the arms of ``bench.tasks`` come from: demonstrations, minds, and what learned to act from them."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sage_ext.errors import SageError

from .held_out import command, module
from .table import say

MADE = {"wake only": "sleep.replay=1", "wake + sleep": "sleep.replay=0"}
"""Arms that the bench makes itself -> how they sleep."""
FLOORS = ("expert", "random")
SIMULATOR = {"cpu": "cpu", "gpu": "cuda:0"}
"""Preset -> device of the simulator; that of learning is another matter."""


@dataclass(frozen=True)
class Source:
    """Where an arm's policy comes from, for one task and seed.

    Attributes:
        kind: See :class:`bench.tasks_play.Plan`.
        folder: See there.
        mark: Names this very policy.
        seconds: What it took to learn, if it learned.
    """

    kind: str
    folder: Path | None
    mark: str
    seconds: float | None = None


def named(option: str, tokens: Sequence[str]) -> dict[str, str]:
    """Name -> folder, of ``--sage`` or ``--mind``.

    Raises:
        SageError: A token is no ``NAME=FOLDER``, or a name is taken.
    """
    found: dict[str, str] = {}
    for token in tokens:
        name, equals, folder = token.partition("=")
        if not (name and equals and folder):
            raise SageError(option, token, "is no NAME=FOLDER", f'write {option} "wake + sleep=runs/NAME"')
        if name in (*found, "cnn", *FLOORS):
            raise SageError(option, name, "is an arm already", "give it another name")
        found[name] = folder
    return found


class Arms:
    """Makes what the arms play with, where it is not there yet.

    Args:
        options: Of the bench.

    Attributes:
        names: Of all arms that there are.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._sage, self._mind = named("--sage", options.sage), named("--mind", options.mind)
        if self._sage and self._mind:
            raise SageError("--mind", options.mind[0], "goes not with --sage", "compare the arms in two tables")
        self.names = [*(self._sage or self._mind or MADE), "cnn", *FLOORS]

    def like(self, task: str, seed: int) -> Path | None:
        """The run whose task, with its settings, is played; None for the task as it is."""
        first = next(iter(self._sage.values()), None)
        return None if first is None else _given(first, task, seed)

    def source(self, arm: str, task: str, seed: int) -> Source:
        """Where an arm's policy is, learned now if it has to be."""
        if arm in FLOORS:
            return Source(arm, None, arm)
        if arm == "cnn":
            return self._cnn(self.like(task, seed) or self.demonstrations(task, seed), task, seed)
        if not self._sage:
            return self._learned(arm, self._minded(arm, task, seed), task, seed)
        run = _given(self._sage[arm], task, seed)
        policy = run / "policy" / "checkpoint.json"
        if not policy.is_file():
            raise SageError("--sage", run, "has learned no policy", f"sage-ext act {run}")
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        return Source("sage", run, f"{_slug(arm)}-{_digest(policy)}", summary["measured"]["seconds"].get("act"))

    def demonstrations(self, task: str, seed: int) -> Path:
        """A run in which the expert acted."""
        options = self._options
        runs = self._folder(task, seed) / f"demonstrations-{self._shown}"
        if not list(runs.glob("*/summary.json")):
            say(f"demonstrations: {task}, {options.demonstrations} episodes, seed {seed}")
            shutil.rmtree(runs, ignore_errors=True)
            command(
                "wake", f"task={task}", f"task.num_envs={min(options.worlds, options.demonstrations)}",
                "wake.policy=expert", f"wake.episodes={options.demonstrations}", f"seed={seed}", f"runs={runs}",
                *([] if options.disturbance is None else [f"wake.disturbance={options.disturbance}"]),
                f"task.device={SIMULATOR[options.preset]}",
                log=runs.with_name(f"{runs.name}.log"),
            )  # fmt: skip
        (summary,) = runs.glob("*/summary.json")
        return summary.parent

    @property
    def _shown(self) -> str:
        """Names the demonstrations by how many they are, and how disturbed."""
        disturbed = self._options.disturbance
        return f"{self._options.demonstrations}" + ("" if disturbed is None else f"-disturbed-{disturbed}")

    def _folder(self, task: str, seed: int) -> Path:
        folder: Path = self._options.keep.absolute() / f"seed{seed}" / task
        return folder

    def _minded(self, arm: str, task: str, seed: int) -> Path:
        """An arm's mind: given, or that of a copy of the demonstrations that slept."""
        if self._mind:
            folder = Path(self._mind[arm].replace("{task}", task).replace("{seed}", str(seed))).absolute()
            if not (folder / "checkpoint.json").is_file():
                raise SageError("--mind", folder, "has no checkpoint.json", "give a run's folder checkpoint")
            return folder
        base, consolidations = self.demonstrations(task, seed), self._options.consolidations
        path = self._folder(task, seed) / f"{_slug(arm)}-{self._shown}-{consolidations}"
        if not path.is_dir():
            unfinished = path.with_name(f".{path.name}.new")
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(base, unfinished)
            unfinished.rename(path)
        done, log = path / "sleep.done", path.with_name(f"{path.name}.log")
        if not done.exists():
            say(f"sleep: {task}, {arm}, seed {seed}")
            state = json.loads((path / "state.json").read_text(encoding="utf-8"))
            if not state.get("done"):
                command("resume", str(path), log=log)
            elif state["phases"] != ["sleep"]:
                command("sleep", str(path), f"sleep.consolidations={consolidations}", MADE[arm], log=log)
            done.touch()
        return path / "checkpoint"

    def _learned(self, arm: str, mind: Path, task: str, seed: int) -> Source:
        """What learned to act on a mind's contexts, from the demonstrations."""
        options, run = self._options, self.demonstrations(task, seed)
        spent = f"{_digest(mind / 'checkpoint.json')}-{self._shown}-{options.updates}-{options.batch}"
        folder = self._folder(task, seed) / f"act-{_slug(arm)}-{spent}"
        if not (folder / "act.json").is_file():
            say(f"learning to act: {task}, {arm}, seed {seed}, {options.updates} updates")
            settings = {"run": str(run), "mind": str(mind), "folder": str(folder), "updates": options.updates}
            settings |= {"batch": options.batch, "device": options.device, "seed": seed}
            module("bench.tasks_act", json.dumps(settings), log=folder.with_name(f"{folder.name}.log"))
        told = json.loads((folder / "act.json").read_text(encoding="utf-8"))
        policy = folder / "policy" / "checkpoint.json"
        return Source("sage", folder, f"{_slug(arm)}-{_digest(policy)}", told["seconds"])

    def _cnn(self, run: Path, task: str, seed: int) -> Source:
        """The baseline, trained on a run's demonstrations."""
        from sage_ext.config import load_config

        act, options = load_config().act, self._options
        spent = f"{_digest(run / 'memory' / 'episodes.jsonl')}-{options.updates}-{options.cnn_batch}"
        folder = self._folder(task, seed) / f"cnn-{spent}"
        if not (folder / "cnn.json").is_file():
            say(f"training: {task}, cnn, seed {seed}, {options.updates} updates")
            # As many looks lack a sense as of SAGE's, which sees those episodes once more.
            dropout = act.sense_dropout / (1.0 + act.sense_dropout)
            settings = {"run": str(run), "folder": str(folder), "updates": options.updates, "batch": options.cnn_batch}
            settings |= {"chunk": act.chunk, "dropout": dropout, "device": options.device, "seed": seed}
            module("bench.tasks_cnn", json.dumps(settings), log=folder.with_name(f"{folder.name}.log"))
        meta = json.loads((folder / "cnn.json").read_text(encoding="utf-8"))["meta"]
        return Source("cnn", folder, f"cnn-{_digest(folder / 'cnn.json')}", meta["seconds"])


def _given(run: str, task: str, seed: int) -> Path:
    from sage_ext.runs import Run

    path = Run.open(run.replace("{task}", task).replace("{seed}", str(seed)), lock=False).path.absolute()
    there = Run.open(path, lock=False).config.task.id
    if there != task:
        raise SageError("--sage", path, f"is a run of {there}", f"give one of {task}, with {{task}} in its path")
    return path


def _slug(arm: str) -> str:
    return arm.replace(" ", "_").replace("/", "_")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
