"""The laws that a dream can break, and the kinds of violation of each: names alone, to be known without a simulator.

A kind's full name is ``law/kind``. ``docs/dreams.md`` tells what each is, how its twin goes on and what its magnitude
means.
"""

from __future__ import annotations

from collections.abc import Mapping

BLENDED = ("vanish", "appear", "stop-dead", "halt", "from-nothing", "colour-seen", "grow", "shrink")
"""Kinds that are also dreamt in scenes put together from several memories, as ``blend/blend-KIND``."""

LAWS: Mapping[str, tuple[str, ...]] = {
    "physics": (
        "float",
        "fall-up",
        "fall-fast",
        "stop-dead",
        "halt",
        "from-nothing",
        "vanish",
        "appear",
        "pass-through",
        "rebound",
    ),
    "substitution": tuple(
        f"{what}-{how}" for what in ("shape", "colour", "material", "weight") for how in ("seen", "hidden")
    ),
    "reversal": ("reversal",),
    "scale": ("grow", "shrink"),
    "causal": ("early-motion", "early-sound", "wheels-follow"),
    "blend": tuple(f"blend-{kind}" for kind in BLENDED),
}
"""Law -> its kinds."""

KINDS: tuple[str, ...] = tuple(f"{law}/{kind}" for law, kinds in LAWS.items() for kind in kinds)
"""Full names of all kinds."""
NAMES: tuple[str, ...] = (*LAWS, *KINDS)
"""What ``dream.laws`` may name: laws, each with all of its kinds, and single kinds."""
