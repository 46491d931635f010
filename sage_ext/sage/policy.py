"""A policy that needs nothing else: encoder and core together, from senses to an action."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import gymnasium as gym
import torch
from torch import Tensor, nn

from ..context import checkpoint
from ..context.encoder import ContextEncoder
from ..errors import SageError
from ..observation import check_finite, hide
from .core import Extras, SageCore


class SagePolicy:
    """Acts from what is sensed, in as many worlds at once as the first observation has.

    It remembers what each world went through; :meth:`reset` makes it forget. A missing sense is masked; see
    :class:`sage_ext.context.encoder.ContextEncoder`.

    Args:
        encoder: From senses to contexts.
        core: From contexts to actions.
        low: Least action ``(A,)``.
        high: Greatest action ``(A,)``.

    Attributes:
        extras: What the core told beside the last actions; None before the first.

    Raises:
        SageError: Bounds that do not fit the core, or are not finite.
    """

    def __init__(self, encoder: ContextEncoder, core: SageCore, low: Tensor, high: Tensor) -> None:
        for name, bound in (("low", low), ("high", high)):
            if bound.shape != (core.action_dim,) or not bool(torch.isfinite(bound).all()):
                want = f"must be {core.action_dim} finite numbers"
                raise SageError(f"action.{name}", tuple(bound.shape), want, "give the bounds of the action space")
        self.encoder, self.core = encoder.eval(), core.eval()
        self.low, self.high = low.float(), high.float()
        self.extras: Extras | None = None
        self._state: tuple[Tensor, Tensor] | None = None
        self._new: Tensor | None = None

    @classmethod
    def for_space(cls, encoder: ContextEncoder, core: SageCore, space: gym.Space) -> Self:
        """With the bounds of an environment's action space (of one world).

        Raises:
            SageError: It is no box, or unbounded.
        """
        if not isinstance(space, gym.spaces.Box):
            raise SageError("action_space", type(space).__name__, "must be a gymnasium Box", "wrap it as one")
        return cls(encoder, core, torch.as_tensor(space.low).flatten(), torch.as_tensor(space.high).flatten())

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> Self:
        """Read what :meth:`save` wrote; no simulator is needed.

        Args:
            path: The folder.
            device: Torch device.

        Raises:
            SageError: Missing, corrupt, no policy, or of another version.
        """
        builders: dict[str, Any] = {"encoder": ContextEncoder.from_config, "core": SageCore.from_config}
        saved = checkpoint.load(path, builders)
        if "action" not in saved.extra:
            raise SageError(str(path), "action", "has no bounds of the actions", "use the folder of a policy")
        bounds = saved.extra["action"]
        modules: dict[str, Any] = saved.modules
        policy = cls(modules["encoder"], modules["core"], torch.tensor(bounds["low"]), torch.tensor(bounds["high"]))
        return policy.to(device)

    def save(self, path: str | Path) -> None:
        """Write weights and bounds into a folder: safetensors and JSON, replaced as one.

        Raises:
            SageError: The disk is full or refuses.
        """
        modules: dict[str, nn.Module] = {"encoder": self.encoder, "core": self.core}
        checkpoint.save(path, modules, {"action": {"low": self.low.tolist(), "high": self.high.tolist()}})

    def to(self, device: str | torch.device) -> Self:
        """Move it to a device; what it remembers is forgotten."""
        self.encoder.to(device)
        self.core.to(device)
        self.low, self.high = self.low.to(device), self.high.to(device)
        self.reset()
        return self

    def reset(self, mask: Tensor | None = None) -> None:
        """Forget what was before.

        Args:
            mask: The worlds that forget, ``(N,)`` bool; None for all, whose number may then change.

        Raises:
            SageError: The mask does not fit the worlds.
        """
        if mask is None:
            self._state, self._new, self.extras = None, None, None
            return
        if self._state is not None:
            if mask.dtype != torch.bool or mask.shape != (len(self._state[0]),):
                given = f"{mask.dtype}{tuple(mask.shape)}"
                raise SageError("reset", given, f"must be bool of shape {(len(self._state[0]),)}", "match the worlds")
            self._new = mask if self._new is None else self._new | mask

    @torch.inference_mode()
    def act(self, observation: Mapping[str, Any], present: Mapping[str, Tensor] | None = None) -> Tensor:
        """Act after a look.

        Args:
            observation: Sense -> ``(N, *shape)``, or what an environment returned, with them under ``policy``.
            present: Sense -> ``(N,)`` bool, false where a sense is missing; one that is no key is missing everywhere.

        Returns:
            Actions ``(N, A)`` within the bounds: the first of the chunk.

        Raises:
            SageError: Unknown sense, wrong shape, dtype or mask, NaN, or another number of worlds than before.
        """
        senses = self._senses(observation)
        state, mind = self._state or (None, None)
        context, state = self.encoder.step(senses, state, present, self._new)
        chunk, mind, self.extras = self.core(context, senses, mind, present, self._new)
        self._state, self._new = (state, mind), None
        return self._bounded(chunk)

    @torch.inference_mode()
    def react(self, observation: Mapping[str, Any], present: Mapping[str, Tensor] | None = None) -> Tensor:
        """Act again between two looks, by L alone, from the last message and newer fast senses.

        Args:
            observation: As in :meth:`act`; the fast senses are enough.
            present: As in :meth:`act`.

        Returns:
            As :meth:`act`.

        Raises:
            SageError: Nothing was looked at yet, or as :meth:`act`.
        """
        senses = self._senses(observation)
        if self._state is None:
            raise SageError("react", "{}", "has nothing to go by before the first look", "call act first")
        chunk = self.core.react(senses, self._state[1], present)
        check_finite({k: hide(v, present[k]) if present and k in present else v for k, v in senses.items()})
        return self._bounded(chunk)

    def _bounded(self, chunk: Tensor) -> Tensor:
        return torch.clamp(chunk[:, 0], self.low, self.high)

    def _senses(self, observation: Mapping[str, Any]) -> Mapping[str, Tensor]:
        senses: Mapping[str, Tensor] = observation.get("policy", observation)
        self.encoder.spec.check(senses)
        if self._state is not None and senses:
            known, given = len(self._state[0]), len(next(iter(senses.values())))
            if given != known:
                raise SageError("observation", f"{given} worlds", f"there were {known} before", "call reset() first")
        return senses
