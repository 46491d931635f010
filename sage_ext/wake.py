"""Wake: live in the simulator and remember every step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from .environment import Environment, Labelled, Overlapping, Policy, begin_anew, derived_seed
from .errors import SageError
from .memory import Memory

LABELS = ("label", "labelled")
"""What memories from before there was acting lack."""


def remembered_step(
    physics: dict[str, Tensor],
    obs: dict[str, Any],
    action: Tensor,
    outcome: tuple[Tensor, ...],
    rows: Tensor,
    marked: Tensor,
    label: Tensor | None = None,
) -> TensorDict:
    """One step of all worlds as it goes into memory.

    Args:
        physics: Gravity (N, 3) and friction (N,) in force, from :func:`in_force`.
        obs: What was observed before the action.
        action: The action (N, A).
        outcome: Reward, terminated, truncated, each (N,).
        rows: Snapshots taken before the action (N, S), zeros where none was.
        marked: Where a snapshot was taken (N,) bool.
        label: What a teacher would have done (N, A), where there is one.
    """
    reward, terminated, truncated = outcome
    return TensorDict(
        {
            "observation": obs["policy"],
            "critic": obs.get("critic", {}),
            "action": action,
            "label": torch.zeros_like(action) if label is None else label,
            "labelled": torch.full_like(terminated, label is not None),
            "reward": reward.float(),
            "terminated": terminated,
            "truncated": truncated,
            "physics": physics,
            "snapshot": rows,
            "has_snapshot": marked,
        },
        batch_size=[len(action)],
    )


def in_force(env: Environment) -> dict[str, Tensor]:
    """The physics of all worlds now: to be asked before a step, at whose end a reset may draw another."""
    return {"gravity": env.physics.gravity, "friction": env.physics.friction_scale}


def open_memory(path: Path, env: Environment, capacity: int) -> Memory:
    """Open a run's memory, or make one that fits what the environment gives.

    Raises:
        SageError: The memory is damaged, in use, of another task, or the disk refuses.
    """
    obs, _ = env.reset()
    n = env.num_envs
    action = torch.zeros(n, *env.single_action_space.shape)  # type: ignore[misc]
    flags = torch.zeros(n, dtype=torch.bool)
    rows = env.snapshot()
    example = remembered_step(in_force(env), obs, action, (torch.zeros(n), flags, flags), rows, flags)
    if (path / "meta.json").exists():
        memory = Memory.open(path)
        try:
            memory.schema.check(_fitting(memory, example.cpu()))
        except SageError:
            memory.close()
            raise
        return memory
    return Memory.create(path, example[0].cpu(), capacity, max_episode_steps=env.max_episode_length)


def has_labels(memory: Memory) -> bool:
    """Whether a memory can hold what a teacher would have done."""
    return any(leaf.key == LABELS[:1] for leaf in memory.schema.leaves)


def _fitting(memory: Memory, step: TensorDict) -> TensorDict:
    return step if has_labels(memory) else step.exclude(*LABELS)


class _Writer:
    """Writes steps into memory, each while the environment makes the next one's pictures if it can.

    Args:
        env: The environment.
        memory: Where steps go.
    """

    def __init__(self, env: Environment, memory: Memory) -> None:
        self._env, self._memory = env if isinstance(env, Overlapping) else None, memory
        self._step: Callable[[], TensorDict] | None = None

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what is left; of a wave that was cut short nothing counts, and the environment may outlive memory."""
        if kind is not None and self._env is not None:
            self._step = self._env.meanwhile = None
        self.settle()

    def append(self, step: Callable[[], TensorDict]) -> None:
        """Write one step of all worlds, now or later.

        Args:
            step: Gives the step; asked once.
        """
        self.settle()
        self._step = step
        if self._env is None:
            self.settle()
        else:
            self._env.meanwhile = self.settle

    def settle(self) -> None:
        """Write what is not written yet."""
        if self._env is not None:
            self._env.meanwhile = None
        make, self._step = self._step, None
        if make is not None:
            step = _fitting(self._memory, make())
            self._memory.append(step if step["action"].is_cpu else step.cpu())


def wake(
    env: Environment,
    make_policy: Callable[[int], Policy],
    memory: Memory,
    episodes: int,
    snapshot_every: int,
    seed: int,
    done: int = 0,
    on_step: Callable[[int, dict[str, Any]], None] | None = None,
    on_wave: Callable[[int, float], None] | None = None,
    check: Callable[[], None] | None = None,
    successes: float = 0.0,
) -> dict[str, float]:
    """Collect episodes, a wave of all worlds after the other.

    Each wave begins with a reset of its own seed, so a wave that was cut short can be lived
    again as it would have been.

    Args:
        env: The environment.
        make_policy: Given a seed, where actions come from.
        memory: Where steps go.
        episodes: How many episodes to complete in all; the last wave may bring a few more.
        snapshot_every: Steps between two snapshots.
        seed: Seed of this wake.
        done: Episodes completed by an earlier, interrupted call.
        on_step: Called with the number of new steps and the environment's extras.
        on_wave: Called after each wave with the numbers of episodes completed and of successes among them.
        check: Called after each wave; raises to stop.
        successes: Of the episodes ``done`` by an earlier call.

    Returns:
        ``episodes``, ``experiences`` (steps) and ``success_rate``.
    """
    n = env.num_envs
    steps, ended = 0, 0
    no_rows = torch.zeros_like(env.snapshot())
    while done + ended < episodes:
        wave = (done + ended) // n
        memory.abandon()
        wave_seed = derived_seed(seed, "wave", wave)
        policy = make_policy(wave_seed)
        obs, _ = env.reset(seed=wave_seed)
        clock = torch.zeros(n, dtype=torch.long, device=env.device)
        reached = torch.zeros(n, dtype=torch.bool, device=env.device)
        finished = torch.zeros(n, dtype=torch.bool, device=env.device)
        with _Writer(env, memory) as writer:
            while not bool(finished.all()):
                marked = clock % snapshot_every == 0
                rows = env.snapshot() if bool(marked.any()) else no_rows
                action = policy.act(obs)
                physics = in_force(env)
                following, reward, terminated, truncated, extras = env.step(action)
                label = policy.label if isinstance(policy, Labelled) else None
                # The environment's next step may write into what it gave.
                outcome = (reward.clone(), terminated.clone(), truncated.clone())
                writer.append(partial(remembered_step, physics, obs, action, outcome, rows, marked, label))
                over = terminated | truncated
                begin_anew(policy, over)
                if "success" in extras:
                    reached |= extras["success"] & ~finished
                ended += int((over & ~finished).sum())
                finished |= over
                clock = torch.where(over, 0, clock + 1)
                obs = following
                steps += n
                if on_step is not None:
                    on_step(n, extras)
        successes += float(reached.sum())
        memory.abandon()
        if on_wave is not None:
            on_wave(done + ended, successes)
        if check is not None:
            check()
    memory.flush()
    return {"episodes": done + ended, "experiences": steps, "success_rate": successes / max(done + ended, 1)}
