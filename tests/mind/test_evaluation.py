"""The evaluation set: the same from the same seed, whole or not there, and of this version only."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sage_ext.dream.evaluation import INDEX, EvaluationSet, fitting, make_evaluation
from sage_ext.errors import SageError

from .ball_world import BallWorld, Push


class World(BallWorld):
    """Moments in which every object lies elsewhere."""

    def __init__(self, steps: int = 90) -> None:
        super().__init__(6, steps, 32)


def make(folder: Path, seed: int = 0, **options: Any) -> EvaluationSet:
    env = World()
    settings: dict[str, Any] = {"pairs": 3, "looks": 12, "kinds": env.dream_kinds, **options}
    return make_evaluation(env, Push(env, seed), folder, {"task": "balls"}, seed=seed, **settings)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    return make(tmp_path_factory.mktemp("made"))


def test_it_holds_as_many_pairs_of_each_kind_as_asked(made: EvaluationSet) -> None:
    kinds = Counter(f"{law}/{kind}" for part in made for law, kind in zip(part.law, part.kind, strict=True))
    assert kinds == dict.fromkeys(World().dream_kinds, 3) and len(made) == 9
    assert made.about["task"] == "balls" and made.about["looks"] == 12
    for part in made:
        assert part.valid.all() and part.twin["visual"].shape[1] == 12
        assert torch.equal(part.impossible["visual"][:, :6], part.twin["visual"][:, :6])
        assert set(part.twin_truth) == {"pos", "vel"}


def test_one_seed_makes_one_set(made: EvaluationSet, tmp_path: Path) -> None:
    again, other = make(tmp_path / "again"), make(tmp_path / "other", seed=1)
    assert again.about == made.about
    for one, two in zip(made, again, strict=True):
        for name, value in one.impossible.items():
            assert torch.equal(two.impossible[name], value)
    first, last = next(iter(made)), next(iter(other))
    assert not torch.equal(first.twin["visual"], last.twin["visual"][: len(first.at)])


def test_another_version_is_refused(made: EvaluationSet, tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text(json.dumps(made.about | {"version": 99}))
    with pytest.raises(SageError, match=r"is of version 99, this reads \d+; make it anew: python -m bench.dream_set"):
        EvaluationSet(tmp_path)
    with pytest.raises(SageError, match="cannot be read; make it anew"):
        EvaluationSet(tmp_path / "none")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    made = make(tmp_path, pairs=1)
    (tmp_path / made.about["parts"][0]["file"]).write_bytes(b"nothing")
    with pytest.raises(SageError, match="scenes-000.safetensors: cannot be read"):
        list(made)


def test_what_is_interrupted_is_no_set(tmp_path: Path) -> None:
    make(tmp_path, pairs=1)

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, on_pairs=stop)
    with pytest.raises(SageError, match="cannot be read"):
        EvaluationSet(tmp_path)


def test_a_kind_that_fits_nothing_is_named(tmp_path: Path) -> None:
    class Never(World):
        def dream(self, *args: Any, **kwargs: Any) -> Any:
            scenes = super().dream(*args, **kwargs)
            never: Tensor = torch.tensor([kind == "vanish" for kind in scenes.kind])
            scenes.valid &= ~never
            return scenes

    env = Never()
    with pytest.raises(SageError, match="physics/vanish: fits too few of the moments tried: 1 of 1 are missing"):
        make_evaluation(env, Push(env, 0), tmp_path, {}, seed=0, pairs=1, looks=12, kinds=env.dream_kinds)


def test_kinds_go_to_moments_that_fit_them() -> None:
    """Each moment fits one kind alone: what it is given is what it fits, where that is to be had."""
    own = ["a", "b", "c", "d"]

    class Picky(World):
        asked = 0

        def foresee(self, rows: Tensor, kinds: Sequence[str]) -> Tensor:
            self.asked += 1
            return torch.tensor([kind == mine for kind, mine in zip(kinds, own, strict=True)])

    env, rows = Picky(), torch.zeros(4, 1)
    assert fitting(env, rows, own) == own and env.asked == 1, "what fits stays"
    assert fitting(env, rows, ["a", "d", "b", "c"]) == own
    assert fitting(env, rows, ["d"] * 4) == ["d"] * 4, "nothing to exchange"
    assert sorted(fitting(env, rows, ["x", "y", "z", "x"])) == ["x", "x", "y", "z"], "none is lost"
