"""L, the fast body: acts from 256 numbers and the latest fast senses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..context.stems import symlog
from ..context.streamed import StreamedLinear
from ..errors import SageError
from ..observation import ObservationSpec, hide

FAST = ("depth", "tactile", "proprioceptive")
"""Senses that L reads itself: those that tell of a collision, for little."""
_GRID = 8
"""Depth is averaged to 8x8 of nearness."""
_STILL = 1e-3
"""Numbers of a sense that vary by less were still."""
_MOST = 20.0
"""Numbers are scaled up by no more: a joint that hardly moved must not shout when it does."""
_FAR = 10.0
"""Deviations from the mean beyond which a number is cut off."""


class Glance(nn.Module):
    """The fast senses as one vector; a missing one is a learned vector, and what is masked influences nothing.

    Numbers are standardised once :meth:`calibrate` has seen experience: what matters may vary by centimetres, beside
    forces that vary by tens.

    Args:
        spec: The senses; those of :data:`FAST` are read.
        width: Numbers a sense.

    Raises:
        SageError: It has none of them.
    """

    def __init__(self, spec: ObservationSpec, width: int) -> None:
        super().__init__()
        self.spec = ObservationSpec({k: spec.senses[k] for k in FAST if k in spec.senses})
        if not self.spec.senses:
            raise SageError("observation", ", ".join(spec.senses) or "{}", "has no fast sense", f"add one of {FAST}")
        sizes = {k: _GRID**2 if k == "depth" else s.shape[0] for k, s in self.spec.senses.items()}
        self.read = nn.ModuleDict({k: StreamedLinear(size, width) for k, size in sizes.items()})
        self.missing = nn.ParameterDict({k: nn.Parameter(torch.zeros(width)) for k in sizes})
        self.width = len(sizes) * width
        for key, size in sizes.items():
            self.register_buffer(f"centre_{key}", torch.zeros(size))
            self.register_buffer(f"gain_{key}", torch.ones(size))

    @torch.no_grad()
    def calibrate(self, senses: Mapping[str, Tensor]) -> None:
        """Take mean and deviation of each number from experience.

        Args:
            senses: Sense -> ``(n, *shape)``, some hundred looks at least; others than the fast ones are not read.
        """
        for key in self.read:
            numbers = _numbers(key, senses[key])
            deviation = numbers.std(0)
            self.get_buffer(f"centre_{key}").copy_(numbers.mean(0))
            gain = torch.where(deviation > _STILL, deviation.reciprocal(), 1.0).clamp(max=_MOST)
            self.get_buffer(f"gain_{key}").copy_(gain)

    def forward(self, senses: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: int) -> Tensor:
        """Senses ``(N, *shape)``, masks ``(N,)`` -> ``(N, width)``."""
        parts = []
        for key, layer in self.read.items():
            missing = self.missing[key].expand(batch, -1)
            if key not in senses:
                parts.append(missing)
                continue
            value, there = senses[key], present.get(key)
            if there is not None:
                value = hide(value, there)
            centre, gain = self.get_buffer(f"centre_{key}"), self.get_buffer(f"gain_{key}")
            seen = layer(((_numbers(key, value) - centre) * gain).clamp(-_FAR, _FAR))
            parts.append(seen if there is None else torch.where(there.unsqueeze(-1), seen, missing))
        return F.silu(torch.cat(parts, -1))


def _numbers(key: str, value: Tensor) -> Tensor:
    """A fast sense ``(N, *shape)`` as numbers of moderate size ``(N, size)``."""
    return _near(value) if key == "depth" else symlog(value.float())


def _near(depth: Tensor) -> Tensor:
    """Metres ``(N, H, W, 1)`` -> nearness ``(N, 64)``, 0 where nothing was hit."""
    near = torch.where(depth > 0, 1.0 / (1.0 + depth), 0.0)
    return F.adaptive_avg_pool2d(near.squeeze(-1), _GRID).flatten(1)


class FastBody(nn.Module):
    """A small recurrent network (GRU, arXiv 1406.1078).

    Args:
        spec: The senses.
        message: Width of what H says.
        glance: Numbers a fast sense.
        hidden: Hidden units.
        memory: Width of the state.
        report: Width of the report to H.
        chunk: Actions given at once.
        action_dim: Width of an action.
    """

    def __init__(
        self,
        spec: ObservationSpec,
        message: int,
        glance: int,
        hidden: int,
        memory: int,
        report: int,
        chunk: int,
        action_dim: int,
    ) -> None:
        super().__init__()
        self.chunk, self.action_dim = chunk, action_dim
        self.glance = Glance(spec, glance)
        self.mix = nn.Sequential(StreamedLinear(message + self.glance.width, hidden), nn.SiLU())
        self.recur = nn.GRUCell(hidden, memory)
        self.plan = nn.Sequential(
            StreamedLinear(hidden + memory, hidden), nn.SiLU(), StreamedLinear(hidden, hidden), nn.SiLU(),
            StreamedLinear(hidden, chunk * action_dim),
        )  # fmt: skip
        self.tell = StreamedLinear(memory, report)

    def forward(self, message: Tensor, glance: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Act.

        Args:
            message: ``(N, message)``.
            glance: What :attr:`glance` made of the fast senses, ``(N, glance.width)``.
            state: ``(N, memory)``.

        Returns:
            Actions ``(N, chunk, action_dim)``, the report ``(N, report)``, the state.
        """
        mixed = self.mix(torch.cat([message, glance], -1))
        state = self.recur(mixed, state)
        actions = self.plan(torch.cat([mixed, state], -1)).unflatten(-1, (self.chunk, self.action_dim))
        return actions, self.tell(state), state
