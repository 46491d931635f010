"""What the mind makes of what is watched, against its encoder and predictor called as in training."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sage_ext.config import load_config
from sage_ext.context.layout import GROUPS
from sage_ext.live.insight import FEW, Insight
from sage_ext.live.looks import Look
from sage_ext.live.replay import Replay
from sage_ext.memory import Memory
from sage_ext.mind import Mind, with_speed


@pytest.fixture(scope="module")
def looks(over: Path) -> list[Look]:
    """Two episodes of a world, one after the other."""
    source = Replay(over / "memory", 0, 1e-9)
    found: list[Look] = []
    while len(found) < 60:
        found += source.take()
    return found[:60]


def test_groups_are_those_of_the_encoder_however_the_looks_come(over: Path, looks: list[Look]) -> None:
    insight = Insight(over / "checkpoint")
    assert insight.refresh()
    thoughts = [t for start in range(0, 30, 4) for t in insight.think(looks[start : min(start + 4, 30)])]
    mind = Mind.load(over / "checkpoint", load_config(["preset=debug"]).sleep, "cpu")
    senses = {k: torch.from_numpy(np.stack([look.senses[k] for look in looks[:30]]))[None] for k in looks[0].senses}
    context = mind.encode(senses)[0]
    for t in (0, 3, 4, 29):
        for i, group in enumerate(GROUPS.values()):
            assert thoughts[t].groups[i] == pytest.approx(
                float(context[t, group.slice].square().mean().sqrt()), rel=1e-3
            )


def test_surprise_is_the_predictors_normalised_by_what_came_before(over: Path, looks: list[Look]) -> None:
    insight = Insight(over / "checkpoint")
    insight.refresh()
    thoughts = insight.think(looks)
    given = [t.surprise for t in thoughts]
    mind = Mind.load(over / "checkpoint", load_config(["preset=debug"]).sleep, "cpu")
    with Memory.open(over / "memory") as memory:
        episodes = [e for e in memory.episodes if e.world == 0][:2]
        lived = [memory.episode(e, ["observation", "action"]) for e in episodes]
    raw = []
    for episode in lived:
        senses = {k: v[None] for k, v in episode["observation"].items()}
        context, predictor = mind.encode(senses), mind.acting.predictor
        found = predictor.unroll(context, with_speed(episode["action"][None], 1.0))
        horizons = torch.full((context.shape[1], len(predictor.horizons), 15), torch.nan)
        for i, h in enumerate(predictor.horizons):
            horizons[h:, i] = found[h].surprise(context[:, h:])[0].detach()
        raw += [None if row.isnan().any() else row for row in horizons]
    seen: list[torch.Tensor] = []
    for t, row in enumerate(raw[: len(looks)]):
        if row is None or len(seen) < FEW:
            assert given[t] is None
        else:
            past = torch.stack(seen)
            score = (row - past.mean(0)) / (past.square().mean(0) - past.mean(0).square()).sqrt().clamp(min=1e-6)
            assert given[t] == pytest.approx(float(score.mean()), rel=0.02, abs=0.02)
        if row is not None:
            seen.append(row)
    assert sum(value is not None for value in given) > 5
    assert with_speed(torch.zeros(1, 2), 1.0).shape == (1, 3)


def test_a_new_checkpoint_is_read_and_none_is_no_mind(over: Path, looks: list[Look], tmp_path: Path) -> None:
    insight = Insight(tmp_path / "checkpoint")
    assert not insight.refresh() and insight.think(looks[:2]) == []
    shutil.copytree(over / "checkpoint", tmp_path / "checkpoint")
    assert insight.refresh()
    before = insight.think(looks[:1])
    mind = Mind.load(over / "checkpoint", load_config(["preset=debug"]).sleep, "cpu")
    with torch.no_grad():
        for parameter in mind.acting.encoder.parameters():
            parameter.mul_(2.0)
    mind.save(tmp_path / "checkpoint")
    assert insight.refresh()
    assert insight.think(looks[:1])[0].groups != before[0].groups
    (tmp_path / "checkpoint" / "checkpoint.json").write_text("{")
    assert insight.refresh(), "the last good one goes on"
