"""Pairs to learn from: a moment as it was remembered, and as it was lived again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ..errors import SageError
from . import changes, seeking, sighting


@dataclass
class Batch:
    """Pairs of slices that begin at one instant.

    Attributes:
        remembered: Sense -> ``(B, T, *shape)``, as it was.
        varied: The same moments lived again.
        actions: ``(B, T, A)``, of step t after its observation.
        history: Sense -> ``(B, P, *shape)``, what both branches sensed before; None starts episodes.
        forget: ``(B,)`` bool, where the branches begin as if there had been no history; None is nowhere.
        change: Kind of change -> ``(B, T, k)``, by how much ``varied`` differs from ``remembered``.
        asked: Kind of change -> ``(B, T, k)`` bool, where that is meant. A kind that is no key is not asked.
        match: ``(B, T)`` int: for each step of ``varied`` the step of ``remembered`` that shows the same instant,
            -1 where none does; None is step for step.
        varied_actions: If others were taken.
        present: Sense -> ``(B, T)`` bool, for both branches.
        sights: ``remembered`` and ``varied`` -> where each loose object is in the branch's pictures ``(B, T, 6 n)``,
            see :data:`~sage_ext.learning.sighting.TOLD`; empty where nobody tells.
        sought: Likewise the way to what is sought ``(B, T, 5)``, see :data:`~sage_ext.learning.seeking.TOLD`.
    """

    remembered: Mapping[str, Tensor]
    varied: Mapping[str, Tensor]
    actions: Tensor
    history: Mapping[str, Tensor] | None = None
    forget: Tensor | None = None
    change: Mapping[str, Tensor] = field(default_factory=dict)
    asked: Mapping[str, Tensor] = field(default_factory=dict)
    match: Tensor | None = None
    varied_actions: Tensor | None = None
    present: Mapping[str, Tensor] = field(default_factory=dict)
    sights: Mapping[str, Tensor] = field(default_factory=dict)
    sought: Mapping[str, Tensor] = field(default_factory=dict)

    def check(self, bodies: int) -> None:
        """Check that the parts belong together; the encoder checks the observations themselves.

        Raises:
            SageError: Branches with other senses, or axes that disagree.
        """
        if set(self.remembered) != set(self.varied):
            odd = sorted(set(self.remembered) ^ set(self.varied))[0]
            raise SageError("batch", odd, "is in one branch only", "give both branches the same senses")
        want = tuple(self.actions.shape[:2])
        shapes = {f"{b}.{k}": v.shape[:2] for b in ("remembered", "varied") for k, v in getattr(self, b).items()}
        for name, shape in shapes.items():
            if tuple(shape) != want:
                raise SageError(f"batch.{name}", tuple(shape), f"must be {want} like actions", "slice them alike")
        self._check_told("sights", want, sighting.TOLD, " n")
        self._check_told("sought", want, seeking.TOLD)
        if set(self.change) != set(self.asked):
            odd = sorted(set(self.change) ^ set(self.asked))[0]
            raise SageError("batch.change", odd, "is in one of change and asked only", "give it in both")
        for part in ("change", "asked"):
            if problem := changes.check(getattr(self, part), want, bodies):
                name, _, mend = problem.partition(": ")
                raise SageError(f"batch.{part}", name, "does not fit", mend)

    def _check_told(self, name: str, want: tuple[int, ...], numbers: int, each: str = "") -> None:
        """What is told of both branches, so many numbers a look, or of each of n things."""
        for branch, told in getattr(self, name).items():
            if branch not in ("remembered", "varied") or len(getattr(self, name)) != 2:
                raise SageError(f"batch.{name}", branch, "is not both branches", "tell of remembered and varied")
            fits = told.shape[2] % numbers == 0 if each else told.shape[2] == numbers
            if tuple(told.shape[:2]) != want or not fits:
                wanted = f"must be {(*want, f'{numbers}{each}')}"
                raise SageError(f"batch.{name}.{branch}", tuple(told.shape), wanted, "tell it")
