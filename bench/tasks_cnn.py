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

from sage_ext.act.learner import NEARER
from sage_ext.context.checkpoint import load_state, save_state
from sage_ext.context.layout import SENSES
from sage_ext.context.stems import symlog
from sage_ext.environment import derived_seed
from sage_ext.memory import Memory
from sage_ext.mind import ema
from sage_ext.sleep.train import pace

from .table import say

PICTURES = ("visual", "depth")
GRID = 4
"""Rows and columns of the last map."""
LR, WEIGHT_DECAY, AVERAGE = 1e-3, 0.01, 0.99
"""As in ``config/act/default.yaml``, and paced as there."""


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
        device: Where it thinks.
    """

    def __init__(self, folder: Path, missing: tuple[str, ...] = (), device: str = "cpu") -> None:
        tensors, meta = load_state(folder / "cnn")
        self._net = Cnn(meta["vectors"], meta["action_dim"], meta["chunk"]).eval()
        self._net.load_state_dict(tensors)
        self._net.to(device)
        self._missing, self._device = missing, device

    @torch.no_grad()
    def act(self, observation: dict[str, Any]) -> Tensor:
        """Actions (N, A): the first of the chunk."""
        given = observation["policy"]
        senses = {k: v.to(self._device) for k, v in given.items()}
        present = {k: torch.full((len(v),), k not in self._missing, device=self._device) for k, v in senses.items()}
        return self._net(senses, present)[:, 0].clamp(-1.0, 1.0).to(given["visual"].device)


def train(
    run: Path, folder: Path, updates: int, batch: int, chunk: int, dropout: float, seed: int, device: str = "cpu"
) -> None:
    """Imitate the labels that a run remembers.

    Args:
        run: Its folder.
        folder: Where the network goes.
        updates: Of the weights.
        batch: Looks an update.
        chunk: Actions given at once.
        dropout: Share of looks from which a sense is missing.
        seed: Of everything that is drawn.
        device: Torch device; another than a CPU holds all that the run remembers.
    """
    start = time.monotonic()
    with Memory.open(run / "memory", shared=True) as memory:
        episodes = [memory.episode(e, ["label", "labelled"]) for e in memory.episodes]
        starts, ids = torch.tensor(_starts(episodes)), torch.tensor([e.id for e in memory.episodes])
        lengths = torch.tensor([len(e) for e in episodes])
        label = torch.cat([e["label"] for e in episodes]).to(device)
        counts = torch.cat([e["labelled"] for e in episodes]).float().to(device)
        looks, nearer = Looks(memory, device), NEARER ** torch.arange(chunk, device=device)
        torch.manual_seed(derived_seed(seed, "cnn"))
        net = Cnn(looks.vectors, label.shape[-1], chunk).to(device)
        average = AveragedModel(net, multi_avg_fn=ema(AVERAGE))
        optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True)
        generator, loss = torch.Generator().manual_seed(derived_seed(seed, "batches")), torch.zeros(())
        for number in range(updates):
            which = torch.multinomial(lengths.double(), batch, replacement=True, generator=generator)
            step = (torch.rand(batch, generator=generator) * lengths[which]).long()
            end = (starts + lengths)[which].unsqueeze(1)
            ahead = (starts[which] + step).unsqueeze(1) + torch.arange(chunk)
            rows = torch.minimum(ahead, end - 1).to(device, non_blocking=True)
            weight = counts[rows] * (ahead < end).to(device, non_blocking=True)
            senses = looks.at(ids[which], step, rows[:, 0])
            lost = torch.rand(batch, generator=generator) < dropout
            missing = torch.randint(len(SENSES), (batch,), generator=generator)
            present = {k: (~(lost & (missing == SENSES.index(k)))).to(device, non_blocking=True) for k in senses}
            for group in optimizer.param_groups:
                group["lr"] = LR * pace(number / updates)
            missed = (net(senses, present) - label[rows]).abs().mean(-1)
            weight = weight * nearer
            loss = (missed * weight).sum() / weight.sum().clamp(min=1e-6)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            average.update_parameters(net)
            if number % 50 == 49:
                say(f"  cnn {number + 1}/{updates} loss={float(loss.detach()):.3g}")
    seconds = time.monotonic() - start
    meta = {"vectors": looks.vectors, "action_dim": net.action_dim, "chunk": chunk, "loss": float(loss.detach())}
    save_state(folder / "cnn", average.module.cpu().state_dict(), meta | {"seconds": seconds})


class Looks:
    """What a run remembers of its senses.

    Args:
        memory: Of the run.
        device: Where looks are wanted; another than a CPU holds all of them.

    Attributes:
        vectors: Width of each sense that is no picture.
    """

    def __init__(self, memory: Memory, device: str) -> None:
        self._memory, self._held = memory, None
        shapes = {leaf.key[1]: leaf.shape for leaf in memory.schema.leaves if leaf.key[0] == "observation"}
        self.vectors = {name: shapes[name][-1] for name in SENSES if name in shapes and name not in PICTURES}
        if torch.device(device).type != "cpu":
            lived = [memory.episode(e, ["observation"])["observation"] for e in memory.episodes]
            self._held = {name: torch.cat([part[name] for part in lived]).to(device) for name in shapes}

    def at(self, episode: Tensor, step: Tensor, row: Tensor) -> dict[str, Tensor]:
        """Senses (N, ...) of steps of episodes (N,), which are those rows (N,) of all steps in order."""
        if self._held is not None:
            return {name: value[row] for name, value in self._held.items()}
        lived = self._memory.slices_at(episode, step, 1, ["observation"])["observation"]
        return {name: lived[name].squeeze(1) for name in lived.keys()}  # noqa: SIM118


def _starts(episodes: list[Any]) -> list[int]:
    found, total = [], 0
    for episode in episodes:
        found.append(total)
        total += len(episode)
    return found


def main(argv: list[str] | None = None) -> int:
    """Train: a JSON object of the arguments of :func:`train`."""
    parser = argparse.ArgumentParser(prog="python -m bench.tasks_cnn", description=main.__doc__)
    parser.add_argument("settings")
    given = json.loads(parser.parse_args(argv).settings)
    train(Path(given.pop("run")), Path(given.pop("folder")), **given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
