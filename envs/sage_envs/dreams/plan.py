"""What each kind of violation needs: how its object moves, and in what the two branches of its scenes differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..dream_kinds import BLENDED, KINDS


class Kind(NamedTuple):
    """A kind of violation.

    Attributes:
        change: In what the branches differ; the kind's own name but for how it is seen.
        motion: How the object moves: ``rest``; ``ball`` rolls; ``some`` rests, or rolls where it can; ``fly``;
            ``bounce`` falls and has hit the ground before the violation; ``land`` does so after it; ``strike`` rolls
            into another object; ``none`` where no object takes part.
        hidden: Whether it happens while the camera looks away.
        blended: Whether the other objects come from other memories.
    """

    change: str
    motion: str
    hidden: bool = False
    blended: bool = False


PULLED = ("float", "fall-up", "fall-fast")
"""Whose object has another gravity."""
STRUCK = ("pass-through", "rebound", "early-motion")
RELIVED = ("reversal", "early-sound", "wheels-follow")
"""Made from what the twin sensed: nothing is lived a second time."""
SHOWN = ("pass-through", "rebound", "shape", "colour", "grow", "shrink")
"""Whose objects are shown otherwise than they are."""
MOTIONS = {
    **dict.fromkeys((*PULLED, "stop-dead"), "fly"),
    **dict.fromkeys(("halt", "from-nothing"), "ball"),
    **dict.fromkeys((*STRUCK, "reversal"), "strike"),
    **dict.fromkeys(("vanish", "appear", "colour", "grow", "shrink"), "some"),
    **dict.fromkeys(("material", "weight"), "bounce"),
    "shape": "rest",
    "early-sound": "land",
    "wheels-follow": "none",
}


def _kind(name: str) -> Kind:
    law, _, kind = name.partition("/")
    blended = law == "blend"
    kind = kind.removeprefix("blend-") if blended else kind
    for how in ("seen", "hidden"):
        if kind.endswith(f"-{how}"):
            change = kind.removesuffix(f"-{how}")
            return Kind(change, MOTIONS[change], how == "hidden", blended)
    return Kind(kind, MOTIONS[kind], False, blended)


TABLE: dict[str, Kind] = {name: _kind(name) for name in KINDS}
"""Full name -> what it needs."""
assert all(f"blend/blend-{kind}" in TABLE for kind in BLENDED)


def look_up(names: Sequence[str]) -> list[Kind]:
    """Kinds by their full names.

    Raises:
        ValueError: One is unknown.
    """
    for name in names:
        if name not in TABLE:
            raise ValueError(f"kind={name}: unknown; use one of {', '.join(TABLE)}")
    return [TABLE[name] for name in names]
