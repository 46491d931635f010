"""A fixed set of dreams to be judged by: made once from a seed, kept in a folder, read by every bench alike.

``evaluation.json`` says what it holds and is written last, so that a folder without it is no set. Each
``scenes-NNN.safetensors`` beside it has the scenes of some dreams, as :class:`~sage_ext.environment.DreamScenes` names
them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..environment import DreamScenes, Environment, Observation, Policy, derived_seed
from ..errors import SageError

VERSION = 2
"""Of the format and of what is drawn: a set of another version is another test."""
INDEX = "evaluation.json"
WARM_UP = (20, 60)
"""Steps lived before a moment is taken, from and to."""
MOMENTS = 6
"""Calls of the simulator that use one moment of each world."""
ATTEMPTS = 8
"""Calls of the simulator for each that would do if all moments fitted."""
EXCHANGES = 4
"""Times that worlds whose moments do not fit their kinds exchange them."""
DIFFICULTIES = (0.0, 0.5, 1.0)
SENSES = ("impossible", "twin", "impossible_truth", "twin_truth")
NUMBERS = ("actions", "at", "object", "place", "magnitude")


@dataclass
class Pairs:
    """Some dreams of a set; fulfils :class:`~sage_ext.environment.DreamScenes`.

    Attributes:
        difficulty: At which they were made.
    """

    impossible: Observation
    twin: Observation
    impossible_truth: Observation
    twin_truth: Observation
    actions: Tensor
    at: Tensor
    object: Tensor
    place: Tensor
    magnitude: Tensor
    valid: Tensor
    law: list[str]
    kind: list[str]
    difficulty: float


class EvaluationSet:
    """A set that was made.

    Args:
        folder: Where it is.

    Attributes:
        about: What its index says: version, task, seed, looks, kinds, and how many pairs of each.

    Raises:
        SageError: There is none, it is of another version, or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.about: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SageError("evaluation set", folder, "cannot be read", _MAKE) from error
        version = self.about.get("version")
        if version != VERSION:
            raise SageError("evaluation set", folder, f"is of version {version}, this reads {VERSION}", _MAKE)

    def __len__(self) -> int:
        return sum(self.about["pairs"].values())

    def __iter__(self) -> Iterator[Pairs]:
        """The dreams, a file at a time.

        Raises:
            SageError: A file is missing or damaged.
        """
        for part in self.about["parts"]:
            path = self.folder / part["file"]
            try:
                tensors = load_file(path)
            except (OSError, SafetensorError) as error:
                raise SageError("evaluation set", path, "cannot be read", _MAKE) from error
            fields: dict[str, Any] = {name: tensors.pop(name) for name in NUMBERS} | {name: {} for name in SENSES}
            for name, value in tensors.items():
                group, _, key = name.partition("/")
                fields[group][key] = value
            valid = torch.ones(len(fields["at"]), dtype=torch.bool)
            yield Pairs(**fields, valid=valid, law=part["law"], kind=part["kind"], difficulty=part["difficulty"])


_MAKE = "make it anew: python -m bench.dream_set"


def make_evaluation(
    env: Environment,
    policy: Policy,
    folder: Path,
    about: dict[str, Any],
    *,
    seed: int,
    pairs: int,
    looks: int,
    kinds: Sequence[str],
    on_pairs: Callable[[int], None] = lambda _: None,
) -> EvaluationSet:
    """Make a set.

    Rooms, objects, actions and dreams are drawn from ``seed`` alone, through seeds that nothing else uses.

    Args:
        env: The environment; where its worlds stand afterwards is of no meaning.
        policy: What acts before and during the dreams.
        folder: Where it goes; what is there of an older set is replaced.
        about: What else the index should tell, for example the task.
        seed: Of all that is drawn.
        pairs: Dreams of each kind.
        looks: Looks of a scene.
        kinds: Full names.
        on_pairs: Called with how many dreams were added.

    Raises:
        SageError: A kind fits no moment, or the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    for old in folder.glob("scenes-*.safetensors"):
        old.unlink()
    wanted = Counter(dict.fromkeys(kinds, pairs))
    parts: list[dict[str, Any]] = []
    generator = torch.Generator().manual_seed(derived_seed(seed, "evaluation set", VERSION))
    calls = ATTEMPTS * -(-pairs * len(kinds) // env.num_envs)
    rows = actions = torch.zeros(0)
    for call in range(calls):
        if not +wanted:
            break
        if call % MOMENTS == 0:
            rows, actions = _moments(env, policy, derived_seed(seed, "evaluation set", VERSION, call), looks, generator)
        chosen = fitting(env, rows, _turns(wanted, env.num_envs))
        difficulty = DIFFICULTIES[call % len(DIFFICULTIES)]
        scenes = env.dream(rows, actions, chosen, difficulty=difficulty, generator=generator)
        keep = []
        for i, kind in enumerate(chosen):
            if bool(scenes.valid[i]) and wanted[kind] > 0:
                wanted[kind] -= 1
                keep.append(i)
        if keep:
            name = f"scenes-{len(parts):03}.safetensors"
            _save(_tensors(scenes, keep), folder / name)
            told = {"law": [scenes.law[i] for i in keep], "kind": [scenes.kind[i] for i in keep]}
            parts.append({"file": name, "difficulty": difficulty, **told})
            on_pairs(len(keep))
    if +wanted:
        kind, left = (+wanted).most_common(1)[0]
        problem = f"fits too few of the moments tried: {left} of {pairs} are missing"
        raise SageError("evaluation set", kind, problem, "leave the kind out, or ask for fewer")
    index = {"version": VERSION, "seed": seed, "looks": looks, **about, "pairs": dict.fromkeys(kinds, pairs)}
    text = json.dumps(index | {"parts": parts}, indent=1, allow_nan=False) + "\n"
    temporary = folder / f".{INDEX}.part"
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, folder / INDEX)
    except OSError as error:
        raise SageError("evaluation set", folder, f"cannot be written ({error.strerror})", "free the disk") from error
    return EvaluationSet(folder)


def _turns(wanted: Counter[str], count: int) -> list[str]:
    """Kinds for so many worlds, those first of which most are missing."""
    left, chosen = Counter(+wanted), []
    for _ in range(count):
        kind = max(left, key=lambda k: left[k])
        left[kind] -= 1
        chosen.append(kind)
    return chosen


def fitting(env: Environment, rows: Tensor, kinds: Sequence[str]) -> list[str]:
    """The same kinds in an order in which more moments fit theirs, as far as can be told without living them.

    Args:
        env: The environment; where its worlds stand afterwards is of no meaning.
        rows: Moments (n, S).
        kinds: Full name of a kind a moment (n).
    """
    chosen = list(kinds)
    fits = env.foresee(rows, chosen).cpu()
    for _ in range(EXCHANGES):
        unfit = (~fits).nonzero().squeeze(1).tolist()
        if len({chosen[i] for i in unfit}) < 2:
            break
        turned = [chosen[i] for i in [*unfit[1:], unfit[0]]]
        for i, kind in zip(unfit, turned, strict=True):
            chosen[i] = kind
        fits |= env.foresee(rows, chosen).cpu()
    return chosen


def _moments(
    env: Environment, policy: Policy, seed: int, looks: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Moments in new rooms (N, S), their objects elsewhere, and what is done from there on (N, T, A)."""
    obs, _ = env.reset(seed=seed)
    warm = WARM_UP[0] + int(torch.randint(WARM_UP[1] - WARM_UP[0], (1,), generator=generator))
    rows, actions = torch.zeros(0), []
    for step in range(warm + looks):
        if step == warm:
            rows = env.snapshot()
        action = policy.act(obs)
        if step >= warm:
            actions.append(action.clone())
        obs = env.step(action)[0]
    return env.rearrange(rows, generator), torch.stack(actions, dim=1)


def _tensors(scenes: DreamScenes, keep: list[int]) -> dict[str, Tensor]:
    out = {name: getattr(scenes, name)[keep] for name in NUMBERS}
    for group in SENSES:
        out |= {f"{group}/{key}": value[keep] for key, value in getattr(scenes, group).items()}
    return {name: value.cpu().contiguous() for name, value in out.items()}


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a file whole or not at all.

    Raises:
        SageError: The disk refuses.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        save_file(tensors, temporary)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise SageError("evaluation set", path, f"cannot be written ({error})", "free the disk") from error
