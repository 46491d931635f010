"""The baseline of ``bench.tasks``: behaviour cloning by a convolutional network, from the same demonstrations.

A ResNet-18 (arXiv 1512.03385) for small pictures: four channels, a first layer that halves once, and a last map that
keeps where things are. Beside it the other senses through one linear layer. It sees one look at a time, gives chunks
of actions, and is trained with a sense missing now and then, as SAGE is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel
from torchvision.models import resnet18

from sage_ext.context.checkpoint import load_state, save_state
from sage_ext.context.layout import SENSES
from sage_ext.context.stems import symlog
from sage_ext.environment import derived_seed
from sage_ext.memory import Memory
from sage_ext.mind import ema

from .table import say

PICTURES = ("visual", "depth")
GRID = 4
"""Rows and columns of the last map."""
LR, WEIGHT_DECAY, AVERAGE = 3e-4, 0.01, 0.99
"""As in ``config/act/default.yaml``."""


class Cnn(nn.Module):
    """From senses to a chunk of actions.

    Args:
        vectors: Width of each sense that is no picture.
        action_dim: Width of an action.
        chunk: Actions given at once.
    """

    def __init__(self, vectors: Mapping[str, int], action_dim: int, chunk: int) -> None:
        super().__init__()
        self.vectors, self.action_dim, self.chunk = dict(vectors), action_dim, chunk
        self.body = resnet18(weights=None)
        self.body.conv1 = nn.Conv2d(4, 64, 3, stride=2, padding=1, bias=False)
        self.body.maxpool = nn.Identity()
        self.body.avgpool = nn.AdaptiveAvgPool2d(GRID)
        self.body.fc = nn.Linear(512 * GRID**2, 512)
        self.other = nn.Linear(sum(vectors.values()), 512)
        self.last = nn.Linear(512, chunk * action_dim)

    def forward(self, senses: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Senses (N, ...) and whether each is there (N,) bool -> actions (N, C, A)."""
        n = len(next(iter(senses.values())))

        def there(name: str, value: Tensor) -> Tensor:
            return value.masked_fill(~present[name].view(n, *[1] * (value.dim() - 1)), 0.0)

        near = torch.where(senses["depth"] > 0, 1.0 / (1.0 + senses["depth"]), 0.0)
        picture = [there("visual", senses["visual"].float() / 127.5 - 1.0), there("depth", near)]
        scaled = {k: (senses[k] + 80.0) / 80.0 if k == "audio" else symlog(senses[k]) for k in self.vectors}
        seen = self.body(torch.cat(picture, -1).movedim(-1, 1))
        felt = self.other(torch.cat([there(k, v) for k, v in scaled.items()], -1))
        actions: Tensor = self.last(F.silu(seen + felt)).unflatten(-1, (self.chunk, self.action_dim))
        return actions


class CnnPolicy:
    """The network in an environment; see :class:`sage_ext.environment.Policy`.

    Args:
        folder: What :func:`train` wrote.
        missing: Senses that are kept from it.
    """

    def __init__(self, folder: Path, missing: tuple[str, ...] = ()) -> None:
        tensors, meta = load_state(folder / "cnn")
        self._net = Cnn(meta["vectors"], meta["action_dim"], meta["chunk"]).eval()
        self._net.load_state_dict(tensors)
        self._missing = missing

    @torch.no_grad()
    def act(self, observation: dict[str, Any]) -> Tensor:
        """Actions (N, A): the first of the chunk."""
        senses = observation["policy"]
        n = len(senses["visual"])
        present = {k: torch.full((n,), k not in self._missing) for k in senses}
        return self._net(senses, present)[:, 0].clamp(-1.0, 1.0)


def train(run: Path, folder: Path, updates: int, batch: int, chunk: int, dropout: float, seed: int) -> None:
    """Imitate the labels that a run remembers.

    Args:
        run: Its folder.
        folder: Where the network goes.
        updates: Of the weights.
        batch: Looks an update.
        chunk: Actions given at once.
        dropout: Share of looks from which a sense is missing.
        seed: Of everything that is drawn.
    """
    start = time.monotonic()
    with Memory.open(run / "memory") as memory:
        episodes = [memory.episode(e, ["label", "labelled"]) for e in memory.episodes]
        first = dict(zip((e.id for e in memory.episodes), _starts(episodes), strict=True))
        length = {e.id: e.length for e in memory.episodes}
        label = torch.cat([e["label"] for e in episodes])
        counts = torch.cat([e["labelled"] for e in episodes]).float()
        vectors = {k: memory.sample(1, keys=[("observation", k)])["observation", k].shape[-1] for k in _vectors(memory)}
        torch.manual_seed(derived_seed(seed, "cnn"))
        net = Cnn(vectors, label.shape[-1], chunk)
        average = AveragedModel(net, multi_avg_fn=ema(AVERAGE))
        optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True)
        generator, loss = torch.Generator().manual_seed(derived_seed(seed, "batches")), torch.zeros(())
        for number in range(updates):
            got = memory.sample(batch, generator, keys=["observation"])
            end = torch.tensor([first[i] + length[i] for i in got["episode"].tolist()]).unsqueeze(1)
            start_of = torch.tensor([first[i] for i in got["episode"].tolist()]) + got["step"]
            ahead = start_of.unsqueeze(1) + torch.arange(chunk)
            rows = torch.minimum(ahead, end - 1)
            weight = counts[rows] * (ahead < end)
            senses = {k: got["observation", k] for k in got["observation"].keys()}  # noqa: SIM118
            lost = torch.rand(batch, generator=generator) < dropout
            which = torch.randint(len(SENSES), (batch,), generator=generator)
            present = {k: ~(lost & (which == SENSES.index(k))) for k in senses}
            missed = (net(senses, present) - label[rows]).abs().mean(-1)
            loss = (missed * weight).sum() / weight.sum().clamp(min=1e-6)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            average.update_parameters(net)
            if number % 50 == 49:
                say(f"  cnn {number + 1}/{updates} loss={float(loss.detach()):.3g}")
    seconds = time.monotonic() - start
    meta = {"vectors": vectors, "action_dim": net.action_dim, "chunk": chunk, "loss": float(loss.detach())}
    save_state(folder / "cnn", average.module.state_dict(), meta | {"seconds": seconds})


def _starts(episodes: list[Any]) -> list[int]:
    found, total = [], 0
    for episode in episodes:
        found.append(total)
        total += len(episode)
    return found


def _vectors(memory: Memory) -> list[str]:
    names = [leaf.key[1] for leaf in memory.schema.leaves if leaf.key[0] == "observation"]
    return [name for name in SENSES if name in names and name not in PICTURES]


def main(argv: list[str] | None = None) -> int:
    """Train: a JSON object of the arguments of :func:`train`."""
    parser = argparse.ArgumentParser(prog="python -m bench.tasks_cnn", description=main.__doc__)
    parser.add_argument("settings")
    given = json.loads(parser.parse_args(argv).settings)
    train(Path(given.pop("run")), Path(given.pop("folder")), **given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
