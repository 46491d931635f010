"""The laws that a dream can break, and the kinds of violation of each: names alone, to be known without a simulator."""

from __future__ import annotations

from collections.abc import Mapping

LAWS: Mapping[str, tuple[str, ...]] = {
    "physics": ("float", "vanish"),
    "reversal": ("reversal",),
}
"""Law -> its kinds; a kind's full name is ``law/kind``."""

KINDS: tuple[str, ...] = tuple(f"{law}/{kind}" for law, kinds in LAWS.items() for kind in kinds)
"""Full names of all kinds."""
NAMES: tuple[str, ...] = (*LAWS, *KINDS)
"""What ``dream.laws`` may name: laws, each with all of its kinds, and single kinds."""
