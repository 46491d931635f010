"""What the mind makes of what is watched: how strongly each group of its context speaks, and how surprised it is.

Computed by the viewer, from the run's last checkpoint, so that the job pays nothing for it.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..context import checkpoint
from ..context.encoder import ContextEncoder
from ..context.layout import GROUPS
from ..errors import SageError
from ..learning.objective import Objective
from ..learning.predictor import ContextPredictor, group_mean
from ..mind import with_speed
from .looks import Look

FEW = 30
"""Looks from which on surprise is normalised."""
USUAL = 3000
"""Looks over which it is: older ones fade."""


@dataclass
class Thought:
    """What the mind makes of one look.

    Attributes:
        groups: Root mean square of each group of the context (15,).
        surprise: Mean standard score over groups and horizons; None where nothing was predicted, or too little seen.
    """

    groups: list[float]
    surprise: float | None


class Insight:
    """The mind of a run, watching along.

    Surprise is that of the predictor, normalised by the running mean and deviation of what was watched so
    far with the same checkpoint.

    Args:
        folder: Folder of the checkpoint, which may not exist yet; it is read again whenever it was replaced.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._version: tuple[int, int] | None = None
        self._encoder: ContextEncoder | None = None
        self._predictor: ContextPredictor | None = None
        self.restart()

    def restart(self) -> None:
        """Forget what was before, as when another world is watched."""
        self._state: Tensor | None = None
        self._past: deque[tuple[Tensor, Tensor]] = deque()

    def refresh(self) -> bool:
        """Read the checkpoint if it is another one than the last; whether there is one."""
        file = self._folder / "checkpoint.json"
        with contextlib.suppress(OSError, SageError):
            stat = file.stat()
            version = (stat.st_ino, stat.st_mtime_ns)
            if version != self._version:
                builders = {k: v for k, v in Objective.builders().items() if k in ("encoder", "predictor")}
                parts = checkpoint.load(self._folder, builders).modules
                encoder, predictor = parts["encoder"], parts["predictor"]
                assert isinstance(encoder, ContextEncoder) and isinstance(predictor, ContextPredictor)
                self._encoder, self._predictor, self._version = encoder.eval(), predictor.eval(), version
                self._count, self._mean, self._square = 0.0, torch.zeros(1), torch.zeros(1)
                self.restart()
        return self._encoder is not None

    @torch.no_grad()
    def think(self, looks: Sequence[Look]) -> list[Thought]:
        """Take in consecutive looks.

        Args:
            looks: Of one world, at least one; none of them may lack a sense that another has.

        Returns:
            A thought a look; none without a checkpoint.
        """
        if self._encoder is None or self._predictor is None:
            return []
        names = [name for name in self._encoder.spec.senses if all(name in look.senses for look in looks)]
        if not names:
            return []
        senses = {name: torch.stack([torch.from_numpy(look.senses[name]) for look in looks])[None] for name in names}
        begins = torch.tensor([[look.begins for look in looks]])
        contexts, self._state = self._encoder(senses, self._state, reset=begins)
        groups = group_mean(contexts[0].square()).sqrt()
        return [Thought(groups[t].tolist(), self._surprise(contexts[0, t], look)) for t, look in enumerate(looks)]

    def _surprise(self, context: Tensor, look: Look) -> float | None:
        assert self._predictor is not None
        if look.begins:
            self._past.clear()
        horizons = self._predictor.horizons
        act = with_speed(torch.from_numpy(look.action).float()[None], 1.0)
        raw = torch.full((len(horizons), len(GROUPS)), torch.nan)
        actions = torch.cat([*(a for _, a in list(self._past)[1:]), act]) if self._past else act
        for i, h in enumerate(horizons):
            if len(self._past) >= h and act.shape[1] == self._predictor.action_dim:
                raw[i] = self._predictor(self._past[-h][0], actions[-h:]).surprise(context)
        self._past.append((context, act))
        while len(self._past) > horizons[-1]:
            self._past.popleft()
        if bool(raw.isnan().any()):
            return None
        return self._normalised(raw)

    def _normalised(self, raw: Tensor) -> float | None:
        """Mean standard score, against what came before."""
        score = None
        if self._count >= FEW:
            deviation = (self._square - self._mean.square()).clamp(min=1e-12).sqrt().clamp(min=1e-6)
            score = float(((raw - self._mean) / deviation).mean())
        self._count = min(self._count + 1.0, float(USUAL))
        share = 1.0 / self._count
        self._mean = torch.lerp(self._mean.expand_as(raw), raw, share)
        self._square = torch.lerp(self._square.expand_as(raw), raw.square(), share)
        return score
