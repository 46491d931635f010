"""The one table of the context: 4096 numbers in 15 named groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import SageError

if TYPE_CHECKING:  # the table itself needs no torch
    from torch import Tensor


@dataclass(frozen=True)
class Group:
    """A named stretch of the context.

    Attributes:
        family: ``sensory``, ``semantic``, ``physical`` or ``temporal``.
        name: Name of the group; for sensory groups also the name of the sense.
        width: How many numbers it holds.
        start: Index of its first number in the context.
    """

    family: str
    name: str
    width: int
    start: int

    @property
    def slice(self) -> slice:
        """Where the group lies in the last axis of a context."""
        return slice(self.start, self.start + self.width)


_TABLE = (
    ("sensory", "visual", 512),
    ("sensory", "depth", 256),
    ("sensory", "audio", 256),
    ("sensory", "tactile", 256),
    ("sensory", "proprioceptive", 256),
    ("semantic", "objects", 256),
    ("semantic", "affordances", 256),
    ("semantic", "relationships", 256),
    ("semantic", "intentions", 256),
    ("physical", "dynamics", 256),
    ("physical", "materials", 256),
    ("physical", "constraints", 256),
    ("temporal", "immediate", 256),
    ("temporal", "historical", 256),
    ("temporal", "predictive", 256),
)


def _build() -> dict[str, Group]:
    groups, start = {}, 0
    for family, name, width in _TABLE:
        groups[name] = Group(family, name, width, start)
        start += width
    return groups


GROUPS: dict[str, Group] = _build()
"""Group name -> :class:`Group`, in the order of the context."""

CONTEXT_WIDTH: int = sum(group.width for group in GROUPS.values())
"""Width of the whole context."""

SENSES: tuple[str, ...] = tuple(g.name for g in GROUPS.values() if g.family == "sensory")
"""The senses, in the order of their groups."""


PLACE = 7
"""Numbers that tell where a loose object is, see :class:`sage_ext.context.landmarks.Landmarks`."""
TRAIT = 4
"""Numbers that tell what is there: its size and its colour, see :meth:`sage_ext.context.landmarks.Landmarks.traits`."""
LOOSE = 8
"""Loose objects of which the context tells both."""
SEEN = slice(GROUPS["objects"].start, GROUPS["objects"].start + LOOSE * PLACE)
"""The first numbers of ``objects``: where each of the first loose objects is, see :mod:`sage_ext.learning.sighting`."""
TRAITS = slice(SEEN.stop, SEEN.stop + LOOSE * TRAIT)
"""The numbers after them: what each of these objects looks like."""
SOUGHT = slice(GROUPS["intentions"].start, GROUPS["intentions"].start + 3)
"""The first numbers of ``intentions``: the way to what is sought, see :mod:`sage_ext.learning.seeking`."""
SELF = slice(GROUPS["dynamics"].start, GROUPS["dynamics"].start + 64)
"""The first numbers of ``dynamics``: what the body's sense says, standardised: its own motion, forces, gravity."""
ROOM = slice(GROUPS["constraints"].start, GROUPS["constraints"].start + 64)
"""The first numbers of ``constraints``: how near things are, standardised, see :mod:`.scan`."""
TOLD = {"objects": slice(SEEN.start, TRAITS.stop), "intentions": SOUGHT, "dynamics": SELF, "constraints": ROOM}
"""Group -> those of its numbers that mean what is said above; all others are what learning makes of them."""


def width(numbers: slice) -> int:
    """How many numbers a slice of the context holds."""
    return int(numbers.stop - numbers.start)


def untold(group: Group) -> slice:
    """Where the numbers of a group lie that learning is free to arrange: all but those that mean what they are told."""
    return slice(TOLD[group.name].stop if group.name in TOLD else group.start, group.slice.stop)


def family(name: str) -> tuple[Group, ...]:
    """Groups of one family, in order.

    Args:
        name: ``sensory``, ``semantic``, ``physical`` or ``temporal``.
    """
    return tuple(g for g in GROUPS.values() if g.family == name)


def group(context: Tensor, name: str) -> Tensor:
    """One named group of a context, as a view.

    Args:
        context: ``(..., 4096)``.
        name: Name of a group, such as ``objects``.

    Returns:
        ``(..., width of the group)``.

    Raises:
        SageError: No group of that name.
    """
    if name not in GROUPS:
        raise SageError("group", name, "is no group of the context", f"use one of {', '.join(GROUPS)}")
    return context[..., GROUPS[name].slice]
