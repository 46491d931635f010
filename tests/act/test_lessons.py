"""Lessons: what is drawn is what was lived, and the contexts that are kept are those of the encoder that acts."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest
import torch

from sage_ext.act.contexts import Contexts, View, encode, fingerprint, views
from sage_ext.act.lessons import Batch, Lessons, gather
from sage_ext.errors import SageError
from sage_ext.memory import Memory
from sage_ext.mind import Mind
from sage_ext.wake import wake
from tests.mind.ball_world import BallWorld, Push
from tests.mind.conftest import configured, lived, seeded

from .conftest import LENGTH

World = tuple[BallWorld, Memory]
SENSES = ["depth", "tactile", "proprioceptive"]
CONFIG = configured().act


@pytest.fixture(scope="module")
def kept(demonstrated: World, mind: Mind, tmp_path_factory: pytest.TempPathFactory) -> tuple[Contexts, list[View]]:
    contexts = Contexts(tmp_path_factory.mktemp("kept"), fingerprint(mind))
    wanted = views(demonstrated[1].episodes, 0.5, 0)
    encode(mind, demonstrated[1], contexts, wanted, lambda count: None)
    return contexts, wanted


@pytest.fixture
def lessons(demonstrated: World, kept: tuple[Contexts, list[View]]) -> Lessons:
    return gather(demonstrated[1], *kept, SENSES, CONFIG, seeded())


def drawn(lessons: Lessons, n: int = 64, steps: int = 8, chunk: int = 5) -> Batch:
    return lessons.draw(n, steps, chunk, seeded(3))


def test_labels_are_the_undisturbed_experts(demonstrated: World, lessons: Lessons) -> None:
    memory = demonstrated[1]
    for episode in memory.episodes:
        got = memory.episode(episode, ["action", "label", "labelled"])
        assert bool(got["labelled"].all()) and torch.equal(got["label"], torch.tensor([1.0, 0.0]).expand(LENGTH, 2))
        assert not torch.equal(got["action"], got["label"])
    batch = drawn(lessons)
    assert torch.equal(batch.target, torch.tensor([1.0, 0.0]).expand(64, 8, 5, 2))


def test_contexts_and_senses_are_of_one_instant(demonstrated: World, mind: Mind, lessons: Lessons) -> None:
    memory, batch = demonstrated[1], drawn(lessons)
    whole = torch.stack(list(batch.present.values())).all(0)
    # The encoder starts with the episode, and what is seen at an instant names it.
    found = 0
    for episode in memory.episodes:
        observation = memory.episode(episode, ["observation"])["observation"]
        context = mind.encode({k: v.unsqueeze(0) for k, v in observation.items()})[0]
        for b in range(len(batch.context)):
            same = (observation["depth"] == batch.senses["depth"][b, 0]).flatten(1).all(1).nonzero().flatten()
            if len(same) == 1 and bool(whole[b, 0]):
                at = int(same[0])
                torch.testing.assert_close(batch.context[b], context[at : at + 8], rtol=2e-3, atol=2e-3)
                for sense in SENSES:
                    assert torch.equal(batch.senses[sense][b], observation[sense][at : at + 8])
                found += 1
    assert found > 20


def test_nothing_counts_beyond_the_end(demonstrated: World, kept: tuple[Contexts, list[View]]) -> None:
    # Stretches longer than the episodes, which are all drawn from their first step.
    batch = drawn(gather(demonstrated[1], *kept, SENSES, CONFIG, seeded()), 4, LENGTH + 6, 5)
    time = torch.arange(LENGTH + 6).view(1, -1, 1) + torch.arange(5)
    assert torch.equal(batch.weight, (time < LENGTH).float().expand(4, -1, -1))


def test_a_view_that_lacks_a_sense_was_encoded_without_it(
    demonstrated: World, mind: Mind, kept: tuple[Contexts, list[View]], lessons: Lessons
) -> None:
    contexts, wanted = kept
    lacking = [view for view in wanted if view.missing]
    assert 0 < len(lacking) < len(wanted) / 2
    view = lacking[0]
    observation = demonstrated[1].episode(view.episode, ["observation"])["observation"]
    blind = mind.encode({k: v.unsqueeze(0) for k, v in observation.items() if k != view.missing})[0]
    rows = torch.from_numpy(contexts.rows()[contexts.start(view) :][: view.length]).float()
    torch.testing.assert_close(rows, blind, rtol=2e-3, atol=2e-3)
    batch = drawn(lessons, 200)
    absent = {name: (~there).any(1).float().mean().item() for name, there in batch.present.items()}
    assert {name for name, share in absent.items() if share} == {v.missing for v in lacking}


def test_nothing_is_encoded_twice_unless_the_encoder_changed(
    demonstrated: World, mind: Mind, kept: tuple[Contexts, list[View]]
) -> None:
    contexts, wanted = kept
    folder = contexts._data.parent
    counted: list[int] = []
    encode(mind, demonstrated[1], Contexts(folder, fingerprint(mind)), wanted, counted.append)
    assert counted == []
    # A kill while the index was written loses that view alone; one while rows were written, none.
    index = folder / "contexts.jsonl"
    text = index.read_text()
    index.write_text(text[:-4])
    again = Contexts(folder, fingerprint(mind))
    encode(mind, demonstrated[1], again, wanted, counted.append)
    assert counted == [LENGTH] and all(view in again for view in wanted)
    assert len(again.rows()) == LENGTH * len(wanted)
    assert not any(view in Contexts(folder, "another") for view in wanted)
    encode(mind, demonstrated[1], contexts := Contexts(folder, fingerprint(mind)), wanted, lambda count: None)
    assert len(contexts.rows()) == LENGTH * len(wanted)


def test_rewards_take_the_place_of_labels_that_are_missing(mind: Mind, tmp_path: Path) -> None:
    env = BallWorld(3, LENGTH, 32)
    with lived(tmp_path / "memory", env, 6) as memory:
        contexts, wanted = Contexts(tmp_path, fingerprint(mind)), views(memory.episodes, 0.0, 0)
        encode(mind, memory, contexts, wanted, lambda count: None)
        batch = drawn(gather(memory, contexts, wanted, SENSES, CONFIG, seeded()))
        counts = batch.weight[batch.weight > 0]
        assert counts.std() > 0.2 and counts.min() > 0
        with pytest.raises(SageError, match="act.objective=bc: imitates an expert, and none is remembered"):
            gather(memory, contexts, wanted, SENSES, dataclasses.replace(CONFIG, objective="bc"), seeded())


def test_a_memory_from_before_there_were_labels_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sage_ext import wake as wake_module

    env = BallWorld(2, 6, 16)
    whole = wake_module.remembered_step
    with monkeypatch.context() as patch:
        patch.setattr(wake_module, "remembered_step", lambda *args: whole(*args).exclude("label", "labelled"))
        lived(tmp_path / "memory", env, 2).close()
    with wake_module.open_memory(tmp_path / "memory", env, 100) as memory:
        assert not wake_module.has_labels(memory)
        wake(env, lambda seed: Push(env, seed), memory, 4, 3, 0)
        assert len(memory.episodes) == 6


def test_what_is_held_is_what_lies_on_the_disk(demonstrated: World, kept: tuple[Contexts, list[View]]) -> None:
    lessons = gather(demonstrated[1], *kept, SENSES, CONFIG, seeded())
    before = lessons.draw(20, 6, 3, seeded(4)), lessons.looks(30, seeded(5))
    lessons._hold([episode.id for episode in demonstrated[1].episodes])  # as another device does
    after = lessons.draw(20, 6, 3, seeded(4)), lessons.looks(30, seeded(5))
    for (one, other), name in itertools.product(zip(before, after, strict=True), SENSES):
        parts = [(x.context, x.senses[name]) if isinstance(x, Batch) else (x[0], x[1][name]) for x in (one, other)]
        assert all(torch.equal(a, b) for a, b in zip(*parts, strict=True))
