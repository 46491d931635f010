"""Dreams break the laws that were asked for, in moments that are fit for them, beside twins that do not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from torch import Tensor

from sage_ext import gallery
from sage_ext.config import DreamConfig
from sage_ext.dream import Explored, explore
from sage_ext.dream import exploration as dream_module
from sage_ext.errors import SageError
from sage_ext.gallery import save_gallery
from sage_ext.memory import Memory
from sage_ext.mind import Mind

from .ball_world import BallWorld, Scenes
from .conftest import configured, lived, seeded

Remembered = tuple[BallWorld, Memory]
X1 = 2
"""Where a snapshot holds how far right the first ball is."""


class Picky(BallWorld):
    """Finds only moments fit that ``fit`` tells; foresees it if ``foresight``."""

    foresight = False

    def __init__(self) -> None:
        super().__init__(6, 30, 32)
        self.calls: list[tuple[Tensor, tuple[str, ...]]] = []

    def fit(self, rows: Tensor, kinds: Sequence[str]) -> Tensor:
        return rows[:, X1] > 0.1

    def foresee(self, rows: Tensor, kinds: Sequence[str]) -> Tensor:
        return self.fit(rows, kinds) if self.foresight else torch.ones(len(rows), dtype=torch.bool)

    def dream(self, rows: Tensor, actions: Tensor, kinds: Sequence[str], **options: Any) -> Scenes:
        self.calls.append((rows, tuple(kinds)))
        scenes = super().dream(rows, actions, kinds, **options)
        scenes.valid = self.fit(rows, kinds)
        return scenes


def asked(*overrides: str) -> DreamConfig:
    return configured(*overrides).dream


@pytest.fixture(scope="module")
def dreams(remembered: Remembered, trained: Mind) -> list[Explored]:
    env, memory = remembered
    return explore(env, trained, memory, asked("dream.explorations=7"), seeded())


@pytest.mark.parametrize(
    ("count", "laws", "want"),
    [
        (1, "[physics/vanish]", {"vanish": 1}),
        (7, "[physics/float,physics/vanish,reversal]", {"float": 3, "vanish": 2, "reversal": 2}),
        (8, "[reversal,physics]", {"reversal": 4, "float": 2, "vanish": 2}),
    ],
)
def test_as_many_dreams_of_each_law_as_asked(
    remembered: Remembered, trained: Mind, count: int, laws: str, want: dict[str, int]
) -> None:
    env, memory = remembered
    told: list[Explored] = []
    found = explore(
        env, trained, memory, asked(f"dream.explorations={count}", f"dream.laws={laws}"), seeded(), told.append
    )
    assert Counter(d.kind for d in found) == want
    assert len(told) == count and all(a is b for a, b in zip(told, found, strict=True)), (
        "each is told once, as it comes"
    )


def test_a_dream_has_what_is_shown_of_it(dreams: list[Explored]) -> None:
    for dream in dreams:
        assert dream.at == 6
        assert dream.frames.shape == dream.twin_frames.shape == (12, 32, 32, 3)
        assert dream.frames.dtype == torch.uint8
        assert dream.surprise.shape == dream.twin_surprise.shape == (12,)
        assert 0 < dream.coherence < 1 and 0 < dream.twin_coherence < 1
        assert torch.equal(dream.surprise[1:6], dream.twin_surprise[1:6]), "so far nothing impossible has happened"
        assert not torch.equal(dream.surprise[6:], dream.twin_surprise[6:])
        torch.testing.assert_close(dream.groups.sum(-1)[1:], dream.surprise[1:])
        torch.testing.assert_close(dream.twin_groups.sum(-1)[1:], dream.twin_surprise[1:])
        assert torch.equal(dream.senses["visual"], dream.frames) and len(dream.actions) == 12


def test_the_twin_is_what_is_remembered_and_the_dream_leaves_it(remembered: Remembered, dreams: list[Explored]) -> None:
    memory = remembered[1]
    for dream in dreams:
        lived = memory.slices_at([dream.episode], [dream.step], 13)
        assert bool(lived["has_snapshot"][0, 0])
        pictures = lived["observation", "visual"][0, 1:]
        assert torch.equal(dream.twin_frames, pictures)
        assert torch.equal(dream.frames[:6], pictures[:6])
        if dream.law == "reversal":
            assert torch.equal(dream.frames[6:], pictures[:6].flip(0))
        else:
            assert not torch.equal(dream.frames[6:], pictures[6:])
    assert len({(d.episode, d.step) for d in dreams}) > 3


def test_coherence_is_that_of_the_judge(remembered: Remembered, trained: Mind, dreams: list[Explored]) -> None:
    """Lived once more by hand, with the same judge."""
    env, memory = remembered
    config, generator = asked("dream.explorations=7"), seeded()
    judge = dream_module.calibrate_on_memory(trained, memory, config, generator)
    for dream in dreams:
        lived = memory.slices_at([dream.episode], [dream.step], 13)
        scenes = env.dream(lived["snapshot"][:, 0], lived["action"][:, :12], [f"{dream.law}/{dream.kind}"])
        for senses, coherence in ((scenes.impossible, dream.coherence), (scenes.twin, dream.twin_coherence)):
            found, _ = dream_module.assess(trained, judge, senses, scenes.actions, dream_module.first_judged(config))
            assert float(found) == pytest.approx(coherence, abs=1e-4)


def test_one_seed_dreams_the_same(remembered: Remembered, trained: Mind, dreams: list[Explored]) -> None:
    env, memory = remembered
    config = asked("dream.explorations=7")
    env.reset(seed=99)  # where the worlds stand does not matter
    torch.manual_seed(99)
    again = explore(env, trained, memory, config, seeded())
    assert [d.record() for d in again] == [d.record() for d in dreams]
    other = explore(env, trained, memory, config, seeded(1))
    assert [d.record() for d in other] != [d.record() for d in dreams]


def test_records_can_be_written_as_json(dreams: list[Explored]) -> None:
    records = [d.record() for d in dreams]
    assert json.loads(json.dumps(records, allow_nan=False)) == records
    assert set(records[0]) == {"law", "kind", "magnitude", "at", "episode", "step", "coherence", "twin_coherence"}


@pytest.mark.parametrize("foresight", [False, True])
def test_moments_that_are_not_fit_are_skipped(remembered: Remembered, trained: Mind, foresight: bool) -> None:
    env, memory = Picky(), remembered[1]
    env.foresight = foresight
    found = explore(env, trained, memory, asked("dream.explorations=6"), seeded())
    assert len(found) == 6
    for dream in found:
        rows = memory.slices_at([dream.episode], [dream.step], 1)["snapshot"][0]
        assert rows[0, X1] > 0.1, dream.record()
    tried = torch.cat([rows for rows, _ in env.calls])
    if foresight:
        assert len(env.calls) == 1 and (tried[:, X1] > 0.1).all(), "what is foreseen is not tried"
    else:
        assert len(env.calls) > 1 and (tried[:, X1] <= 0.1).any()


def test_a_law_that_fits_nothing_is_named(remembered: Remembered, trained: Mind) -> None:
    class Never(Picky):
        def fit(self, rows: Tensor, kinds: Sequence[str]) -> Tensor:
            return torch.tensor([kind != "physics/vanish" for kind in kinds])

    env, memory = Never(), remembered[1]
    config = asked("dream.explorations=4", "dream.laws=[physics]")
    message = r"dream\.laws=physics/vanish: fits none of the moments tried \(2 dreams of 4\); wake for longer"
    with pytest.raises(SageError, match=message):
        explore(env, trained, memory, config, seeded())
    assert len(env.calls) == dream_module.ATTEMPTS, "one call would do for 4 dreams in 6 worlds"
    assert env.calls[-1][1] == ("physics/vanish",) * 6, "all worlds look for what is wanted still"


def test_laws_take_turns_and_their_kinds_too() -> None:
    known = ("physics/float", "physics/vanish", "reversal/reversal")
    asked_for = dream_module.asked_kinds(["physics", "scale", "reversal"], known, 5)
    assert asked_for == ["physics/float", "reversal/reversal", "physics/vanish", "reversal/reversal", "physics/float"]
    with pytest.raises(SageError, match="dream.laws=scale: the task knows no such law"):
        dream_module.asked_kinds(["scale"], known, 5)


def test_a_kind_that_the_task_does_not_know_is_named(remembered: Remembered, trained: Mind) -> None:
    env, memory = BallWorld(2, 30, 32), remembered[1]
    env.dream_kinds = ("physics/float",)
    with pytest.raises(
        SageError, match=r"dream.laws=physics.vanish: the task knows no such law or kind; use one of physics/f"
    ):
        explore(env, trained, memory, asked(), seeded())


def test_a_memory_of_short_episodes_is_named(remembered: Remembered, trained: Mind, tmp_path: Path) -> None:
    env = BallWorld(2, 10, 32)
    with lived(tmp_path / "m", env, 2) as memory, pytest.raises(SageError, match=r"memory\.length=13: is longer than"):
        explore(env, trained, memory, asked(), seeded())


def test_the_picture_shows_every_dream(tmp_path: Path, dreams: list[Explored]) -> None:
    for count in (1, 2, 7):
        path = tmp_path / "dreams.png"
        save_gallery(path, dreams[:count])
        picture = np.round(imread(path)[..., :3] * 255).astype(np.uint8)
        columns, rows = min(count, 2), -(-count // 2)
        wide = gallery.LABEL + 8 * (gallery.TILE + gallery.GAP) + 4 * gallery.GAP
        high = gallery.TITLE + 2 * (gallery.TILE + gallery.GAP) + 4 * gallery.GAP
        assert picture.shape == (gallery.HEAD + rows * high, columns * wide, 3)
        assert [p.name for p in tmp_path.iterdir()] == ["dreams.png"]
        for number, dream in enumerate(dreams[:count]):
            top = gallery.HEAD + number // columns * high + gallery.TITLE
            left = number % columns * wide + gallery.LABEL
            # The first picture is two looks before the law is broken, the last is the last.
            for line, frames in enumerate((dream.twin_frames, dream.frames)):
                for place, look in ((0, 4), (7, 11)):
                    y, x = top + line * (gallery.TILE + gallery.GAP), left + place * (gallery.TILE + gallery.GAP)
                    tile = picture[y : y + 96 : 3, x : x + 96 : 3]
                    inner = slice(1, -1)  # the frame of what is impossible covers the edge
                    assert np.array_equal(tile[inner, inner], frames[look].numpy()[inner, inner]), (number, line, look)
                    framed = tuple(picture[y, x + 48]) == gallery.RED
                    assert framed == (line == 1 and look >= 6)


def test_a_picture_is_replaced_whole_or_not_at_all(
    tmp_path: Path, dreams: list[Explored], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dreams.png"
    save_gallery(path, dreams[:1])
    before = path.read_bytes()

    def torn(self: Figure, file: Path, **options: object) -> None:
        Path(file).write_bytes(before[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", torn)
        with pytest.raises(Exception, match="No space left"):
            save_gallery(path, dreams[:2])
    assert path.read_bytes() == before
    save_gallery(path, dreams[:2])
    assert path.read_bytes() != before
