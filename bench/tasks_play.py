"""Results of ``bench.tasks``: arms play a task under a condition, one after the other in the same rooms."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sage_ext.context.layout import SENSES

if TYPE_CHECKING:
    from torch import Tensor

    from sage_ext.environment import Environment, Policy
    from sage_ext.play import Episode
    from sage_ext.play_config import PlayConfig


@dataclass(frozen=True)
class Condition:
    """What differs from the task as it was learned.

    Attributes:
        settings: Of ``sage-ext play``.
        missing: A sense that is kept from the policy.
        shifted: Whether it counts as a shift of physics or of the camera.
    """

    settings: tuple[str, ...] = ()
    missing: str | None = None
    shifted: bool = True


def _physics(knobs: tuple[str, ...], factor: float) -> Condition:
    return Condition(tuple(f"randomisation.{knob}=[{factor},{factor}]" for knob in knobs))


FRICTION = ("static_friction_scale", "dynamic_friction_scale")
CONDITIONS: dict[str, Condition] = {
    "nominal": Condition(shifted=False),
    **{f"gravity x{factor}": _physics(("gravity_scale",), factor) for factor in (0.5, 0.8, 1.2, 1.5)},
    **{f"friction x{factor}": _physics(FRICTION, factor) for factor in (0.4, 0.8, 1.2, 1.6)},
    "mass x2": _physics(("mass_scale",), 2.0),
    "camera moved": Condition(("randomisation.yaw_deg=10", "randomisation.pitch_deg=5", "randomisation.shift_m=0.05")),
    **{f"no {sense}": Condition(missing=sense, shifted=False) for sense in SENSES},
}
"""Every condition by its name; the camera is turned and moved by up to the angles and lengths, drawn an episode."""


@dataclass(frozen=True)
class Plan:
    """What is played.

    Attributes:
        kind: ``sage``, ``cnn``, ``expert`` or ``random``.
        folder: What holds a ``policy`` for ``sage``, what :func:`bench.tasks_cnn.train` wrote for ``cnn``; None for the
            others.
        like: A run whose task, with all its settings, is played; None for the task's defaults.
        task: Its id.
        condition: Key of :data:`CONDITIONS`.
        episodes: How many count.
        worlds: Side by side.
        seed: Of rooms and goals.
        simulator: Device of the simulator.
    """

    kind: str
    folder: str | None
    like: str | None
    task: str
    condition: str
    episodes: int
    worlds: int
    seed: int
    simulator: str = "cpu"


def config_of(plan: Plan) -> PlayConfig:
    """The settings of a play."""
    from sage_ext.play_config import load_play_config

    same = ["policy=sage", f"run={plan.like}"] if plan.like else ["policy=expert", f"task={plan.task}"]
    sizes = [f"episodes={plan.episodes}", f"task.num_envs={plan.worlds}", f"seed={plan.seed}"]
    sizes.append(f"task.device={plan.simulator}")
    return load_play_config([*same, *sizes, *CONDITIONS[plan.condition].settings])


def policy_of(plan: Plan, env: Environment, device: str = "cpu") -> Policy:
    """Who plays, thinking on a device."""
    missing = CONDITIONS[plan.condition].missing
    lacking = () if missing is None else (missing,)
    if plan.kind == "sage":
        from sage_ext.act.sources import learned

        return learned(Path(str(plan.folder)) / "policy", env, lacking, device)
    if plan.kind == "cnn":
        from .tasks_cnn import CnnPolicy

        return CnnPolicy(Path(str(plan.folder)), lacking, device)
    from sage_ext.body import SimulatedBody

    return SimulatedBody().policy(plan.kind, env, plan.seed)


class _Decided(Exception):
    """Every world's only episode has ended, or is a success already."""


def played(plan: Plan, env: Environment, device: str = "cpu") -> dict[str, Any]:
    """Play, and count; of each episode only whether it succeeded is kept, so that nothing is played beyond that."""
    from sage_ext.play import play

    start, ended, now = time.monotonic(), dict[tuple[int, int], bool](), 0

    def before_step(observation: dict[str, Any], reached: Tensor) -> None:
        nonlocal now
        going = [w for w in range(env.num_envs) if (w, 0) not in ended]
        now = int(reached[going].sum())
        if plan.episodes == env.num_envs and now == len(going):
            raise _Decided

    def after_step(over: list[Episode]) -> None:
        ended.update({(e.world, e.number): bool(e.success) for e in over})

    try:
        play(env, policy_of(plan, env, device), plan.episodes, plan.seed, before_step, after_step)
        now = 0
    except _Decided:
        pass
    successes = sum(ended.values()) + now
    kept = {"successes": successes, "success_rate": successes / plan.episodes, "device": device}
    return {**asdict(plan), **kept, "seconds": round(time.monotonic() - start, 1)}


def main(argv: list[str] | None = None) -> int:
    """Play plans, a JSON object of result file -> plan, that differ in who plays."""
    import torch

    from sage_ext.body import SimulatedBody
    from sage_ext.runs import as_json, write_whole

    parser = argparse.ArgumentParser(prog="python -m bench.tasks_play", description=main.__doc__)
    parser.add_argument("plans")
    parser.add_argument("device")
    options = parser.parse_args(argv)
    plans = {Path(path): Plan(**given) for path, given in json.loads(options.plans).items()}
    torch.set_num_threads(1)
    env = SimulatedBody().environment(config_of(next(iter(plans.values()))))
    try:
        for path, plan in plans.items():
            write_whole(path, as_json(played(plan, env, options.device)))
    finally:
        env.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
