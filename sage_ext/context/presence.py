"""Which senses are present: masks, and nothing of what stands under them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import SageError
from ..observation import hide
from .layout import SENSES


def presence(observation: Mapping[str, Tensor], present: Mapping[str, Tensor] | None = None) -> Tensor:
    """Which senses are present.

    Args:
        observation: Sense -> ``(B, T, *shape)``; a sense that is no key is missing everywhere.
        present: Sense -> ``(B, T)`` bool; a sense that is no key is present where the observation has it.

    Returns:
        ``(B, T, 5)`` bool, in the order of ``SENSES``.

    Raises:
        SageError: No sense at all, an unknown sense, or a mask of the wrong shape or dtype.
    """
    if not observation:
        raise SageError("observation", "{}", "has no sense", "give one at least, under a false mask if need be")
    first = next(iter(observation.values()))
    flags = torch.zeros(*first.shape[:2], len(SENSES), dtype=torch.bool, device=first.device)
    for key, mask in (present or {}).items():
        if key not in SENSES:
            raise SageError("present", key, "is no known sense", f"use a subset of {', '.join(SENSES)}")
        check_mask(f"present.{key}", mask, first.shape[:2])
    for index, key in enumerate(SENSES):
        if key in observation:
            flags[..., index] = present[key] if present and key in present else True
    return flags


def masked(observation: Mapping[str, Tensor], present: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """Observations with nothing under false masks."""
    masks = present or {}
    return {k: hide(v, masks[k]) if k in masks else v for k, v in observation.items()}


def check_mask(name: str, mask: Tensor, shape: torch.Size) -> None:
    """Refuse a mask that is no bool tensor of a shape.

    Raises:
        SageError: It names the mask.
    """
    if mask.dtype != torch.bool or mask.shape != shape:
        given = f"{mask.dtype}{tuple(mask.shape)}"
        raise SageError(name, given, f"must be bool of shape {tuple(shape)}", "match the observation's batch")
