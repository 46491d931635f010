"""The mind as a whole: encoder, predictor, change head and their optimizer, saved together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .config import SleepConfig
from .config_checks import PREDICTED_AHEAD
from .context import checkpoint
from .context.encoder import ContextEncoder
from .learning.objective import Objective, Weights
from .learning.predictor import ContextPredictor
from .observation import ObservationSpec
from .threads import torch_threads

HORIZONS = tuple(range(1, PREDICTED_AHEAD + 1))
"""Looks ahead that are predicted."""
SPEED_WIDTH = 1
"""An action is followed by the logarithm of the speed at which it is watched."""


class Mind:
    """What learns asleep and judges in dreams.

    Attributes:
        objective: Encoder, predictor and change head with their loss.
        optimizer: AdamW over all of them.
        learned: What training has gone through so far, for exact resumption.
    """

    def __init__(self, objective: Objective, config: SleepConfig, device: str = "cpu") -> None:
        self.objective = objective.to(device)
        self.device = torch.device(device)
        self.optimizer = torch.optim.AdamW(
            objective.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        self.learned: dict[str, Any] = {"consolidations": 0, "updates": 0, "calibrated": False}

    @classmethod
    def create(cls, spec: ObservationSpec, action_dim: int, config: SleepConfig, seed: int, device: str) -> Mind:
        """A mind that has learned nothing.

        Args:
            spec: Senses of the environment.
            action_dim: Width of its actions.
            config: Learning rate and weights of the loss.
            seed: Seed of the initial weights.
            device: Torch device.
        """
        predictor = ContextPredictor(action_dim + SPEED_WIDTH, HORIZONS, seed=seed + 1)
        return cls(Objective(ContextEncoder(spec, seed=seed), predictor, weights(config)), config, device)

    @classmethod
    def load(cls, folder: Path, config: SleepConfig, device: str) -> Mind:
        """Read what :meth:`save` wrote.

        Raises:
            SageError: Missing, corrupt or of another version.
        """
        saved = checkpoint.load(folder, Objective.builders())
        parts: dict[str, Any] = saved.modules
        objective = Objective(parts["encoder"], parts["predictor"], weights(config))
        objective.physics = parts["physics"]
        mind = cls(objective, config, device)
        if saved.optimizer is not None:
            checkpoint.restore_optimizer(mind.optimizer, saved.optimizer)
            for group in mind.optimizer.param_groups:
                group.update(lr=config.lr, weight_decay=config.weight_decay)
        mind.learned = saved.extra["learned"]
        return mind

    def save(self, folder: Path) -> None:
        """Write everything needed to go on exactly.

        Raises:
            SageError: The disk is full or refuses.
        """
        checkpoint.save(folder, self.objective.parts(), {"learned": self.learned}, self.optimizer)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """All cores while large tensors are worked on; see :func:`sage_ext.cycle.run_phases`."""
        with torch_threads(os.cpu_count() or torch.get_num_threads()):
            yield

    @torch.no_grad()
    def encode(self, observation: dict[str, Tensor], chunk: int = 64) -> Tensor:
        """Contexts of sequences (B, T, 4096), without learning, a few sequences at a time."""
        self.objective.eval()
        size = next(iter(observation.values())).shape[0]
        parts = []
        with self.at_work():
            for start in range(0, size, chunk):
                piece = {k: v[start : start + chunk].to(self.device) for k, v in observation.items()}
                parts.append(self.objective.encoder(piece)[0])
        return torch.cat(parts)


def weights(config: SleepConfig) -> Weights:
    """Weights of the loss as configured."""
    given = {**vars(config.weights), "drop": config.sense_dropout}
    return Weights(**{f.name: given[f.name] for f in fields(Weights)})


def with_speed(actions: Tensor, speed: float | Tensor) -> Tensor:
    """Actions followed by log2 of the speed they are watched at (..., A + 1)."""
    column = torch.as_tensor(speed, dtype=actions.dtype, device=actions.device).log2()
    return torch.cat([actions, column.reshape(-1, *[1] * (actions.dim() - 1)).expand(*actions.shape[:-1], 1)], dim=-1)
