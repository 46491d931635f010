"""Lessons: remembered episodes as sequences of contexts with the actions that are to be learned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..config import ActConfig
from ..context.layout import SENSES
from ..errors import SageError
from ..memory import Memory
from ..wake import has_labels
from .contexts import Contexts, View
from .value import awr_weights, returns, values


@dataclass
class Batch:
    """B stretches of T steps, each step with the C actions that are to follow it.

    Attributes:
        context: (B, T, 4096).
        senses: Sense -> (B, T, ...).
        present: Sense -> whether it was there (B, T) bool.
        target: Actions that are to be learned (B, T, C, A).
        weight: How much each counts (B, T, C); 0 beyond the end of an episode, and where nothing is known.
    """

    context: Tensor
    senses: dict[str, Tensor]
    present: dict[str, Tensor]
    target: Tensor
    weight: Tensor


class Lessons:
    """All that there is to learn from.

    On a CPU, contexts and senses stay on the disk until they are drawn; another device holds all of them, so that
    nothing waits for a copy.

    Args:
        memory: Where the episodes are.
        contexts: Of the views.
        views: What to learn from; views of one episode share its targets.
        senses: Those that are drawn.
        target: Episode -> actions that are to be learned (T, A).
        weight: Episode -> how much each counts (T,).
        device: Where batches are wanted.
    """

    def __init__(
        self,
        memory: Memory,
        contexts: Contexts,
        views: Sequence[View],
        senses: Sequence[str],
        target: dict[int, Tensor],
        weight: dict[int, Tensor],
        device: torch.device | str = "cpu",
    ) -> None:
        self._memory, self._rows, self._device = memory, contexts.rows(), torch.device(device)
        self._keys = [("observation", sense) for sense in senses]
        starts, total = {}, 0
        for episode, actions in target.items():
            starts[episode] = total
            total += len(actions)
        self._target = torch.cat(list(target.values())).to(self._device)
        self._weight = torch.cat(list(weight.values())).to(self._device)
        self._episode = torch.tensor([view.episode for view in views])
        self._length = torch.tensor([view.length for view in views])
        self._row = torch.tensor([contexts.start(view) for view in views])
        self._step = torch.tensor([starts[view.episode] for view in views])
        self._missing = torch.tensor([SENSES.index(v.missing) if v.missing else -1 for v in views])
        self._held: tuple[Tensor, dict[str, Tensor]] | None = None
        if self._device.type != "cpu":
            self._hold(target)

    def _hold(self, episodes: Iterable[int]) -> None:
        """Put all contexts, and the senses of episodes in the order of their targets, where batches are wanted."""
        lived = [self._memory.episode(episode, self._keys)["observation"] for episode in episodes]
        felt = {name: torch.cat([part[name] for part in lived]).to(self._device) for _, name in self._keys}
        self._held = torch.from_numpy(np.array(self._rows)).to(self._device), felt

    def __len__(self) -> int:
        """How many steps there are, those of each view counted."""
        return int(self._length.sum())

    def looks(self, n: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Contexts (n, 4096) of chance, and the senses (n, ...) of those looks, whether or not one was missing."""
        which = torch.multinomial(self._length.double(), n, replacement=True, generator=generator)
        step = (torch.rand(n, generator=generator) * self._length[which]).long()
        context, senses = self._looks(which, step.unsqueeze(1))
        return context.squeeze(1), {name: value.squeeze(1) for name, value in senses.items()}

    def draw(self, n: int, steps: int, chunk: int, generator: torch.Generator) -> Batch:
        """Draw stretches, each where it lies within an episode alike; a shorter episode ends in weights of 0.

        Args:
            n: How many stretches.
            steps: Of each.
            chunk: Actions that follow each step, its own first.
            generator: Source of chance.
        """
        begins = (self._length - steps + 1).clamp(min=1)
        which = torch.multinomial(begins.double(), n, replacement=True, generator=generator)
        time = (torch.rand(n, generator=generator) * begins[which]).long().unsqueeze(1) + torch.arange(steps)
        end = self._length[which].unsqueeze(1)
        inside = torch.minimum(time, end - 1)
        ahead = time.unsqueeze(-1) + torch.arange(chunk)
        following = self._there(self._step[which].view(-1, 1, 1) + torch.minimum(ahead, end.unsqueeze(-1) - 1))
        context, senses = self._looks(which, inside)
        missing = self._missing[which].unsqueeze(1).expand(n, steps)
        return Batch(
            context=context,
            senses=senses,
            present={sense: self._there(missing != i) for i, sense in enumerate(SENSES)},
            target=self._target[following],
            weight=self._weight[following] * self._there(ahead < end.unsqueeze(-1)),
        )

    def _looks(self, which: Tensor, step: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Contexts (B, T, 4096) and senses (B, T, ...) of steps (B, T) of views (B,)."""
        which = which.unsqueeze(1)
        row = self._row[which] + step
        if self._held is not None:
            at, (contexts, felt) = self._there(self._step[which] + step), self._held
            return contexts[self._there(row)].float(), {name: value[at] for name, value in felt.items()}
        episode = self._episode[which].expand_as(step)
        lived = self._memory.slices_at(episode.flatten(), step.flatten(), 1, self._keys)["observation"]
        senses = {name: lived[name].squeeze(1).unflatten(0, step.shape) for _, name in self._keys}
        return torch.from_numpy(self._rows[row.numpy()]).float(), senses

    def _there(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._device, non_blocking=True)


def gather(
    memory: Memory,
    contexts: Contexts,
    views: Sequence[View],
    senses: Sequence[str],
    config: ActConfig,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> Lessons:
    """Everything that is remembered and can be learned from.

    Args:
        memory: Where the episodes are.
        contexts: Of the views.
        views: Of its episodes, each with all senses among them.
        senses: Those that are drawn beside the contexts.
        config: What is learned from.
        generator: Source of chance.
        device: Where batches are wanted.
    """
    whole = [view for view in views if not view.missing]
    target, weight = {}, {}
    if chosen_objective(memory, config) == "bc":
        for view in whole:
            part = memory.episode(view.episode, ["label", "labelled"])
            if bool(part["labelled"].any()):
                target[view.episode], weight[view.episode] = part["label"], part["labelled"].float()
    else:
        parts = [memory.episode(view.episode, ["action", "reward"]) for view in whole]
        told = torch.cat([returns(part["reward"], config.discount) for part in parts])
        rows, lengths = contexts.rows(), [view.length for view in whole]
        known = torch.from_numpy(
            np.concatenate([rows[contexts.start(v) : contexts.start(v) + v.length] for v in whole])
        )
        number = torch.repeat_interleave(torch.arange(len(whole)), torch.tensor(lengths))
        better = told - values(known, told, number, generator)
        each = awr_weights(better, config.temperature).split(lengths)
        for view, part, counts in zip(whole, parts, each, strict=True):
            target[view.episode], weight[view.episode] = part["action"], counts
    kept = [view for view in views if view.episode in target]
    return Lessons(memory, contexts, kept, senses, target, weight, device)


def chosen_objective(memory: Memory, config: ActConfig) -> str:
    """``bc`` or ``awr``, whichever ``act.objective`` comes to for what is remembered.

    Raises:
        SageError: Labels are asked for that are not there, or nothing is remembered.
    """
    if not memory.episodes:
        raise SageError("memory", memory.path, "holds no whole episode", "sage-ext wake lives some")
    if config.objective == "awr":
        return "awr"
    labelled = has_labels(memory) and any(
        bool(memory.episode(episode, ["labelled"])["labelled"].any()) for episode in memory.episodes
    )
    if config.objective == "bc" and not labelled:
        problem = "imitates an expert, and none is remembered"
        raise SageError("act.objective", "bc", problem, "wake with wake.policy=expert, or set act.objective=awr")
    return "bc" if labelled else "awr"
