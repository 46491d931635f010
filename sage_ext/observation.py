"""What the mind knows of an environment's observations: names, shapes and dtypes.

The environment's Gymnasium space is the contract; this module reads it, keeps it beside
checkpoints as JSON, and checks batches against it with errors that say what to mend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import gymnasium as gym
import torch
from torch import Tensor

from .context.layout import SENSES
from .errors import SageError


@dataclass(frozen=True)
class SenseSpec:
    """Shape (without batch axes) and dtype name of one sense."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class ObservationSpec:
    """The senses of an environment, in the order of the context's sensory groups."""

    senses: dict[str, SenseSpec]

    @classmethod
    def from_space(cls, space: gym.Space) -> ObservationSpec:
        """Read the spec from the un-batched ``policy`` space of an environment.

        Raises:
            SageError: The space is no dict of the known senses.
        """
        if not isinstance(space, gym.spaces.Dict):
            raise SageError("observation_space", type(space).__name__, "must be a gymnasium Dict", "wrap it as one")
        unknown = [key for key in space.spaces if key not in SENSES]
        if unknown:
            raise SageError("observation", unknown[0], "is no known sense", f"use a subset of {', '.join(SENSES)}")
        return cls(
            {k: SenseSpec(tuple(space[k].shape or ()), str(space[k].dtype)) for k in SENSES if k in space.spaces}
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Mapping]) -> ObservationSpec:
        """Inverse of :meth:`to_json`."""
        return cls({k: SenseSpec(tuple(v["shape"]), str(v["dtype"])) for k, v in data.items()})

    def to_json(self) -> dict[str, dict]:
        """As plain JSON types."""
        return {k: {"shape": list(v.shape), "dtype": v.dtype} for k, v in self.senses.items()}

    def check(self, observation: Mapping[str, Tensor], batch_dims: int = 1) -> None:
        """Check a batch of observations; senses may be absent, but not misshapen.

        Args:
            observation: Sense name -> tensor of shape ``(*batch, *shape)``.
            batch_dims: How many leading axes are batch axes.

        Raises:
            SageError: Unknown sense, wrong shape or dtype, or batch axes that disagree.
        """
        batch: tuple[int, ...] | None = None
        for key, value in observation.items():
            if key not in self.senses:
                raise SageError("observation", key, "is no sense of this mind", f"use {', '.join(self.senses)}")
            want, lead, shape = self.senses[key], tuple(value.shape[:batch_dims]), tuple(value.shape[batch_dims:])
            if shape != want.shape or value.dim() < batch_dims:
                raise SageError(
                    f"observation.{key}.shape",
                    tuple(value.shape),
                    f"must be (batch, {', '.join(map(str, want.shape))})",
                    "match the environment this mind was trained on",
                )
            if value.dtype != getattr(torch, want.dtype):
                raise SageError(f"observation.{key}.dtype", value.dtype, f"must be {want.dtype}", "convert it")
            if batch is not None and lead != batch:
                raise SageError(
                    f"observation.{key}.shape", tuple(value.shape), f"batch must be {batch}", "stack equal batches"
                )
            batch = lead


def hide(value: Tensor, mask: Tensor) -> Tensor:
    """Zero what is masked before any arithmetic: 0 * NaN in a stem's backward pass would be NaN.

    Args:
        value: A sense ``(*batch, *shape)``.
        mask: ``(*batch)`` bool, false where it is missing.
    """
    return value.masked_fill(~mask.reshape(*mask.shape, *(1,) * (value.dim() - mask.dim())), 0)


def check_finite(observation: Mapping[str, Tensor]) -> None:
    """Refuse NaN and infinity.

    Raises:
        SageError: A sense has one.
    """
    names = [k for k, v in observation.items() if v.is_floating_point()]
    if not names:
        return
    # A sum is finite only if all of its terms are, and costs a tenth; a huge one is looked at again.
    fine = torch.isfinite(torch.stack([observation[k].sum(dtype=torch.float32) for k in names])).tolist()
    for key, good in zip(names, fine, strict=True):
        if not good and not bool(torch.isfinite(observation[key]).all()):
            mend = f"mend the sensor or pass present={{'{key}': False}} for that world"
            raise SageError(f"observation.{key}", "NaN or infinity", "must be finite", mend)
