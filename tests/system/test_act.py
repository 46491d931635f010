"""Learning to act on the simulator: an expert is remembered, imitated, and its imitation plays."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.sim

WORLDS, EPISODES = 2, 4
SETTINGS = [
    "preset=debug", "task=reach", "task.device=cpu", "task.resolution=32", "task.episode_length_s=2",
    f"task.num_envs={WORLDS}", "wake.policy=expert", f"wake.episodes={EPISODES}", "wake.disturbance=0.3",
    "dream.looks=8", "act.updates=30", "act.rounds=1", "act.episodes=2", "act.lr=1e-3", "act.average=0.5",
]  # fmt: skip


SMALL = {"base": 8, "hidden": 64, "semantic": 64, "physical": 64, "immediate": 64, "history": 64}


class NoStop:
    """Nobody asks for one."""

    def arm(self) -> None:
        return

    def check(self, save: Any = None) -> None:
        return


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path, dict[str, Any]]]:
    """An environment, a run that learned to act in it, and its summary."""
    import functools

    from sage_ext.body import SimulatedBody
    from sage_ext.config import load_config
    from sage_ext.context import encoder
    from sage_ext.cycle import run_phases
    from sage_ext.report import Reporter
    from sage_ext.runs import Run
    from sage_ext.sage import core

    class Once(SimulatedBody):
        """One simulator for all."""

        def environment(self, config: Any) -> Any:
            self.env = super().environment(config)
            self.close, self.env.close = self.env.close, lambda: None
            return self.env

    config, body = load_config([*SETTINGS, f"runs={tmp_path_factory.mktemp('runs')}"]), Once()
    with pytest.MonkeyPatch.context() as patch, Run.create(config) as run:
        patch.setattr(encoder, "Widths", functools.partial(encoder.Widths, **SMALL))
        patch.setattr(core, "CoreWidths", functools.partial(core.CoreWidths, slow=64, read=32, think=64, fast=64))
        summary = run_phases(config, run, ("wake", "act"), Reporter(file=io.StringIO()), NoStop(), body)  # type: ignore[arg-type]
        yield body.env, run.path, summary
    body.close()


def test_labels_are_what_the_expert_wants_and_not_what_was_done(lived: tuple[Any, Path, dict[str, Any]]) -> None:
    from sage_ext.memory import Memory
    from sage_tasks.policies import make_policy

    env, path, _ = lived
    with Memory.open(path / "memory") as memory:
        assert len(memory.episodes) == EPISODES + 2
        pairs = list(zip(memory.episodes[::2], memory.episodes[1::2], strict=True))
        for pair in pairs:
            got = [memory.episode(e, ["critic", "label", "labelled", "action"]) for e in pair]
            # The task's own script, asked again about what is remembered.
            expert = make_policy("expert", env)
            for t in range(len(got[0])):
                truth = {k: torch.stack([g["critic", k][t] for g in got]) for k in got[0]["critic"].keys()}  # noqa: SIM118
                wanted = expert.act({"critic": truth})
                torch.testing.assert_close(torch.stack([g["label"][t] for g in got]), wanted, rtol=0, atol=1e-5)
        strays = torch.cat([(g["action"] - g["label"]).abs().mean(1) for g in got])
        assert strays.mean() > 0.02


def test_the_imitation_plays(lived: tuple[Any, Path, dict[str, Any]]) -> None:
    from sage_ext.act.sources import learned
    from sage_ext.play import play, summary

    env, path, told = lived
    assert (told["act"]["objective"], told["act"]["updates"], len(told["act"]["lived"])) == ("bc", 60, 1)

    def result(*missing: str) -> dict[str, Any]:
        return summary(play(env, learned(path / "policy", env, missing), WORLDS, seed=3))

    # The solver takes what it remembers of contacts across a reset: plays are compared that each follow such a play.
    result()
    first = result()
    assert first["episodes"] == WORLDS and first["mean_length"] == 60
    # What it remembers of an earlier play is forgotten, and what it senses matters.
    assert result() == first
    assert result("proprioceptive")["mean_return"] != first["mean_return"]
