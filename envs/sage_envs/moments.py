"""What can be done with remembered moments, as an environment offers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import snapshot
from .counterfactual import Observations, Variation, counterfactuals, render_states
from .dreams import Dream, dream, foresee, known_kinds
from .rearrange import rearrange
from .relive import relive


class Relivable:
    """Moments remembered and lived again; mixed into :class:`~sage_envs.sage_env.SageEnv`, which ``self`` is."""

    def snapshot(self: Any, env_ids: Tensor | None = None) -> Tensor:
        """The present moment of some worlds as rows (n, S); see :mod:`sage_envs.snapshot`."""
        return snapshot.take(self, env_ids)

    def restore(self: Any, rows: Tensor, env_ids: Tensor | None = None) -> None:
        """Put remembered moments (n, S) back into some worlds; the others go on undisturbed."""
        snapshot.restore(self, rows, env_ids)

    def relive(self: Any, rows: Tensor, actions: Tensor, **kwargs) -> dict[str, dict[str, Tensor]]:
        """Live on from snapshots; see :func:`sage_envs.relive.relive`."""
        return relive(self, rows, actions, **kwargs)

    def counterfactuals(
        self: Any, rows: Tensor, actions: Tensor, variations: Sequence[Variation], **kwargs
    ) -> Observations:
        """What would have been; see :func:`sage_envs.counterfactual.counterfactuals`."""
        return counterfactuals(self, rows, actions, variations, **kwargs)

    def rearrange(self: Any, rows: Tensor, generator: torch.Generator, lived_on: bool = True) -> Tensor:
        """Snapshots with the loose objects elsewhere; see :func:`sage_envs.rearrange.rearrange`."""
        return rearrange(self, rows, generator, lived_on)

    def render_states(self: Any, rows: Tensor, viewpoint: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Pictures of given moments; see :func:`sage_envs.counterfactual.render_states`."""
        return render_states(self, rows, viewpoint)

    @property
    def dream_kinds(self: Any) -> tuple[str, ...]:
        """Full names of the violations that this task's dreams know; see :mod:`sage_envs.dream_kinds`."""
        return known_kinds(self)

    def dream(self: Any, rows: Tensor, actions: Tensor, kinds: Sequence[str], **kwargs) -> Dream:
        """Scenes that break a law, and their twins; see :func:`sage_envs.dreams.dream`."""
        return dream(self, rows, actions, kinds, **kwargs)

    def foresee(self: Any, rows: Tensor, kinds: Sequence[str]) -> Tensor:
        """Whether moments look fit for their kinds (n,) bool; see :func:`sage_envs.dreams.foresee`."""
        return foresee(self, rows, kinds)
