"""What the mind asks of an environment: Gymnasium's vector contract, and moments that can be lived again.

Nothing here imports a simulator. :mod:`sage_envs` fulfils it; so can anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import torch
from torch import Tensor

Observation = dict[str, Tensor]
"""Sense -> tensor, the ``policy`` part of what an environment returns."""


class Policy(Protocol):
    """Where actions come from."""

    def act(self, observation: dict[str, Any]) -> Tensor:
        """Actions (N, A) for what an environment returned, ``policy`` and ``critic`` alike."""


@runtime_checkable
class Stateful(Protocol):
    """A policy that remembers what it sensed."""

    def reset(self, mask: Tensor) -> None:
        """Forget what was before in the worlds (N,) bool whose episodes begin anew."""


@runtime_checkable
class Labelled(Protocol):
    """A policy that says, beside what it does, what there is to learn from.

    Attributes:
        label: The action (N, A) that a teacher wanted at the last call of ``act``; None where there is no teacher.
    """

    label: Tensor | None


def begin_anew(policy: Policy, mask: Tensor) -> None:
    """Tell a policy that the episodes of some worlds (N,) bool begin anew; most have nothing to forget."""
    if isinstance(policy, Stateful):
        policy.reset(mask)


class DreamScenes(Protocol):
    """Scenes that break a law beside scenes that do not; see :class:`sage_envs.dreams.Dream`.

    Attributes:
        impossible: Observations (n, T, ...) of the scenes that break a law.
        twin: The same of their possible twins, which are equal to them before look ``at``.
        impossible_truth: Ground truth of each look, name -> (n, T, ...); never read by training.
        twin_truth: The same of the twins.
        actions: What was done after each look, in both (n, T, A).
        valid: Whether the moment was fit for its kind (n,) bool.
        at: Look from which the two differ (n,) int64.
        law: The law that is broken, a scene.
        kind: How it is broken, a scene; the full name is ``law/kind``.
        object: Which loose object breaks it (n,) int64; -1 is the robot, or all there is.
        place: Where it is broken, in the world's frame (n, 3) [m].
        magnitude: How much, with the meaning that the kind gives it (n,).
    """

    impossible: Observation
    twin: Observation
    impossible_truth: Observation
    twin_truth: Observation
    actions: Tensor
    valid: Tensor
    at: Tensor
    law: list[str]
    kind: list[str]
    object: Tensor
    place: Tensor
    magnitude: Tensor


class Environment(Protocol):
    """N parallel worlds, stepped together; tensors live on :attr:`device`.

    Attributes:
        dream_kinds: Full names of the violations that :meth:`dream` knows, ``law/kind``, law by law.
        feigns: Whether the camera can show the loose objects otherwise than they are.
    """

    dream_kinds: tuple[str, ...]
    num_envs: int
    num_objects: int
    device: Any
    max_episode_length: int
    feigns: bool
    single_observation_space: gym.spaces.Dict
    single_action_space: gym.Space
    physics: Any

    def reset(self, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin new episodes in all worlds."""

    def reseed(self, seed: int) -> None:
        """Seed everything that is drawn from now on, sensor noise among it."""

    def step(self, action: Tensor) -> tuple[dict[str, Any], Tensor, Tensor, Tensor, dict[str, Any]]:
        """One step of all worlds; those that ended are reset in the same step."""

    def snapshot(self) -> Tensor:
        """The present moment of each world as a row of numbers (N, S)."""

    def relive(
        self,
        rows: Tensor,
        actions: Tensor,
        *,
        gravity_scale: Tensor | None = None,
        friction_scale: Tensor | None = None,
        mass_scale: Tensor | None = None,
        viewpoint: Tensor | None = None,
        color: Tensor | None = None,
        light: Tensor | None = None,
        size: Tensor | None = None,
        speed: float = 1.0,
        senses: Collection[str] | None = None,
        start: bool = False,
        located: bool = False,
        before_tick: Callable[[int], None] | None = None,
    ) -> dict[str, Observation]:
        """Live on from n <= N snapshots under a variation; see :func:`sage_envs.relive.relive`.

        Beside ``policy`` there is, if ``located``, ``sight``: of each loose object ``position`` [m] and ``velocity``
        [m/s] in the camera's frame (n, T + 1, B, 3), ``pixel`` (n, T + 1, B, 2), ``radius`` as it is shown [m],
        ``distance`` from the robot [m], ``extent``, which is the radius in pixels, and ``in_frame``, a bool
        (n, T + 1, B), at the instant and after each look; ``sought``, the way from what the robot acts with to what its
        episode is about (n, T + 1, 3) [m], and ``meant``, which of the loose objects that is (n, T + 1), -1 for none;
        and with ``start`` there is ``start``, ``visual`` and ``depth`` of the instant itself (n, ...).
        """

    def rearrange(self, rows: Tensor, generator: torch.Generator, lived_on: bool = True) -> Tensor:
        """Snapshots (n, S) with the loose objects elsewhere, many in view; some in the air if they are not lived on."""

    def foresee(self, rows: Tensor, kinds: Sequence[str]) -> Tensor:
        """Whether n <= N moments look fit for their kinds (n,) bool: cheap, not certain."""

    def dream(
        self,
        rows: Tensor,
        actions: Tensor,
        kinds: Sequence[str],
        *,
        difficulty: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> DreamScenes:
        """Break a law in each of n <= N moments; see :func:`sage_envs.dreams.dream`."""

    def close(self) -> None:
        """Stop the simulator."""


@runtime_checkable
class Visible(Protocol):
    """An environment that others can watch; not every one has to be.

    Attributes:
        on_look: Called with each look of all worlds, awake, re-lived or dreamt: what :meth:`Environment.step` returns
            first, the action that led to it (N, A), and whether a stretch begins with it (N,) bool, with nothing
            known of what was before. Shares memory with the environment: copy what is kept.
    """

    on_look: Callable[[dict[str, Any], Tensor, Tensor], None] | None

    def scene_description(self) -> dict[str, Any]:
        """What a world looks like, as plain data; see :mod:`sage_envs.scene_description`."""


@runtime_checkable
class Overlapping(Protocol):
    """An environment that waits for pictures and can do something else meanwhile; not every one has to be.

    Attributes:
        meanwhile: What the next look does once, while its pictures are made; then it is None again.
    """

    meanwhile: Callable[[], None] | None


def derived_seed(seed: int, *parts: object) -> int:
    """A seed of its own for each use, so that any part of a run can be drawn again by itself.

    Args:
        seed: Seed of the run.
        *parts: What it is for, for example a phase and a number.
    """
    import hashlib

    digest = hashlib.sha256(repr((seed, *parts)).encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFFFFFF
