"""The mind as a whole: what learns, the running average of it that judges and acts, and the optimizer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from .config import SleepConfig
from .context import checkpoint
from .context.encoder import ContextEncoder
from .errors import SageError
from .learning.captured import Captured
from .learning.changes import ChangeHeads
from .learning.objective import Objective
from .learning.predictor import ContextPredictor
from .learning.terms import Weights
from .observation import ObservationSpec
from .threads import torch_threads

LEARNING = "learning/"
"""What a checkpoint's names of the modules that learn begin with; the averaged ones have bare names."""
FRESH = {"consolidations": 0, "updates": 0, "calibrated": False}
"""What a mind has gone through at first."""
QUICK = 8.0
"""How much faster the few layers learn that tell places: their errors are told, and small steps never make them exact
(docs/sleep.md)."""
SPEED_WIDTH = 1
"""An action is followed by the logarithm of the speed at which it is watched."""


class Mind:
    """What learns asleep and judges in dreams.

    An exponential moving average of the weights (B. Polyak and A. Juditsky, SIAM J. Control Optim. 30, 1992) is what
    encodes, judges and is exported; it wanders less than the weights that learn.

    Attributes:
        objective: Encoder, predictor and change heads with their loss: what learns.
        optimizer: AdamW over all of them.
        average: The moving average of :attr:`objective`.
        learned: What training has gone through so far, for exact resumption.
    """

    def __init__(self, objective: Objective, config: SleepConfig, device: str = "cpu") -> None:
        self.objective = objective.to(device)
        self.device = torch.device(device)
        self.optimizer = torch.optim.AdamW(
            [{"params": some} for some in objective.paces()],
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.set_rate(config.lr)
        self.average = AveragedModel(objective, multi_avg_fn=ema(config.average))
        self.learned: dict[str, Any] = dict(FRESH)
        self._captured: Captured | None = None

    @classmethod
    def create(
        cls, spec: ObservationSpec, action_dim: int, bodies: int, config: SleepConfig, seed: int, device: str
    ) -> Mind:
        """A mind that has learned nothing.

        Args:
            spec: Senses of the environment.
            action_dim: Width of its actions.
            bodies: Loose objects of its scene.
            config: Learning rate, weights of the loss, and looks a moment.
            seed: Seed of the initial weights.
            device: Torch device.
        """
        predictor = ContextPredictor(action_dim + SPEED_WIDTH, horizons(config.steps), seed=seed + 1)
        encoder = ContextEncoder(spec, seed=seed)
        return cls(Objective(encoder, predictor, ChangeHeads(bodies), weights(config)), config, device)

    @classmethod
    def load(cls, folder: Path, config: SleepConfig, device: str) -> Mind:
        """Read what :meth:`save` wrote.

        Raises:
            SageError: Missing, corrupt or of another version.
        """
        builders = Objective.builders()
        saved = checkpoint.load(folder, builders | {LEARNING + name: build for name, build in builders.items()})
        parts: dict[str, Any] = saved.modules
        mind = cls(Objective(**{k: parts[LEARNING + k] for k in builders}, weights=weights(config)), config, device)
        for name in builders:
            getattr(mind.average.module, name).load_state_dict(parts[name].state_dict())
        if saved.optimizer is not None:
            checkpoint.restore_optimizer(mind.optimizer, saved.optimizer)
            for group in mind.optimizer.param_groups:
                group["weight_decay"] = config.weight_decay
        mind.learned = saved.extra["learned"]
        mind.average.n_averaged.fill_(mind.learned["updates"])
        return mind

    @classmethod
    def inherit(
        cls, folder: Path, spec: ObservationSpec, action_dim: int, bodies: int, config: SleepConfig, device: str
    ) -> Mind:
        """A mind that goes on in another environment, with what it learned before.

        The senses stay the same; actions may have another width and scenes another number of loose objects, see
        :meth:`ContextPredictor.take` and :meth:`ChangeHeads.take`.

        Args:
            folder: Where :meth:`save` wrote it.
            spec: Senses of the environment.
            action_dim: Width of its actions.
            bodies: Loose objects of its scene.
            config: Learning rate and weights of the loss.
            device: Torch device.

        Raises:
            SageError: The environment has other senses, or the first loose objects.
        """
        mind = cls.load(folder, config, device)
        known = mind.objective.encoder.spec
        for name in [*known.senses, *spec.senses]:
            if known.senses.get(name) != spec.senses.get(name):
                raise SageError("after", folder.parent, f"its mind knows another {name} sense", "keep task.resolution")
        if bodies and not mind.objective.heads.bodies:
            raise SageError("after", folder.parent, "its mind has no readings of loose objects", "begin without it")
        mind._take(action_dim + SPEED_WIDTH, bodies)
        # Which sleep it was in is of no meaning here.
        mind.learned = {k: v for k, v in mind.learned.items() if k in FRESH}
        return mind

    def _take(self, action_dim: int, bodies: int) -> None:
        learning, averaged = self.objective, cast(Objective, self.average.module)
        predictor, heads = learning.predictor, learning.heads
        grown: dict[Any, Callable[[Tensor], Tensor]] = {}
        if action_dim > predictor.action_dim:
            grown[predictor.act.weight] = lambda value: predictor.wider(value, action_dim)
        if bodies > heads.bodies:
            for name, layer in heads.read.items():
                grown[layer.weight] = partial(heads.larger, name, bodies=bodies)
        for weight, grow in grown.items():
            state = self.optimizer.state.get(weight, {})
            state.update({key: grow(value) for key, value in state.items() if value.dim()})
        for each in (learning, averaged):
            each.predictor.take(action_dim)
            each.heads.take(bodies)

    def save(self, folder: Path) -> None:
        """Write everything needed to go on exactly.

        Raises:
            SageError: The disk is full or refuses.
        """
        learning = {LEARNING + name: part for name, part in self.objective.parts().items()}
        checkpoint.save(folder, self.acting.parts() | learning, {"learned": self.learned}, self.optimizer)

    @property
    def acting(self) -> Objective:
        """The averaged modules; before anything was learned those that will learn."""
        averaged: Objective = self.average.module  # type: ignore[assignment]
        return averaged if self.learned["updates"] else self.objective

    @property
    def learner(self) -> Callable[..., Any]:
        """The objective to learn with, one batch an update; see :class:`~sage_ext.learning.captured.Captured`."""
        if self.device.type != "cuda":
            return self.objective
        if self._captured is None:
            self._captured = Captured(self.objective)
        return self._captured

    def set_rate(self, lr: float) -> None:
        """Learn at this rate from now on, and what tells places at :data:`QUICK` times this rate."""
        for group, share in zip(self.optimizer.param_groups, (1.0, QUICK), strict=True):
            group["lr"] = lr * share

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """All cores while large tensors are worked on; see :func:`sage_ext.cycle.run_phases`."""
        with torch_threads(len(os.sched_getaffinity(0))):
            yield

    def precision(self) -> AbstractContextManager[Any]:
        """How numbers are kept while learning: bfloat16 in products on a GPU, float32 on a CPU."""
        if self.device.type == "cuda":
            # A graph that is replayed would go on with weights that were cast when it was recorded.
            return torch.autocast("cuda", torch.bfloat16, cache_enabled=False)
        return nullcontext()

    @torch.no_grad()
    def encode(self, observation: dict[str, Tensor], chunk: int = 64) -> Tensor:
        """Contexts of sequences (B, T, 4096), without learning, a few sequences at a time."""
        encoder = self.acting.encoder.eval()
        size = next(iter(observation.values())).shape[0]
        parts = []
        with self.at_work():
            for start in range(0, size, chunk):
                piece = {k: v[start : start + chunk].to(self.device) for k, v in observation.items()}
                parts.append(encoder(piece)[0])
        return torch.cat(parts)


def horizons(steps: int) -> Sequence[int]:
    """Looks ahead that are predicted in moments of so many looks: 1, 2, 4 and so on."""
    return [2**i for i in range(steps.bit_length()) if 2**i < steps]


def ema(decay: float) -> Any:
    """How weights enter their average: quickly at first, so that few updates count as well."""

    @torch.no_grad()
    def enter(averaged: list[Tensor], learning: list[Tensor], count: Tensor | int) -> None:
        now = float(count)
        torch._foreach_lerp_(averaged, learning, 1.0 - min(decay, (1.0 + now) / (10.0 + now)))

    return enter


def weights(config: SleepConfig) -> Weights:
    """Weights of the loss as configured."""
    given = {**vars(config.weights), "drop": config.sense_dropout}
    return Weights(**{f.name: given[f.name] for f in fields(Weights)})


def with_speed(actions: Tensor, speed: float | Tensor) -> Tensor:
    """Actions followed by log2 of the speed they are watched at (..., A + 1)."""
    column = torch.as_tensor(speed, dtype=actions.dtype, device=actions.device).log2()
    return torch.cat([actions, column.reshape(-1, *[1] * (actions.dim() - 1)).expand(*actions.shape[:-1], 1)], dim=-1)
