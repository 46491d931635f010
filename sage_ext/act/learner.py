"""Learning to act: SAGE's core imitates what is remembered, from contexts of a frozen encoder.

Behaviour cloning with chunks of actions (ACT, arXiv 2304.13705) of the labels of an expert, whose actions were
disturbed (DART) or who judged what SAGE did (DAgger), or of whatever was done, weighted by how it turned out (AWR); see
:mod:`sage_ext.act.disturbed` and :mod:`sage_ext.act.value`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

import gymnasium as gym
import torch
from torch import Tensor

from ..config import ActConfig
from ..context import checkpoint
from ..environment import derived_seed
from ..memory import Memory
from ..mind import Mind, ema
from ..report import Reporter
from ..sage.compression import CompressionHeads
from ..sage.core import SageCore
from ..sage.policy import SagePolicy
from ..sleep.train import pace
from .contexts import Contexts, encode, fingerprint, views
from .lessons import Batch, chosen_objective, gather

SAVE_EVERY_S = 120.0
"""Least time between two checkpoints [s]; one also follows each round and each stop."""
CALIBRATION = 2000
"""Contexts from which the compression starts."""
KEPT = 0.3
"""Weight of what the 256 numbers lose; see :class:`~sage_ext.sage.compression.CompressionHeads`."""
PONDER = 0.001
"""Weight of the cost of H's steps."""
NEARER = 0.8
"""How much an action of a chunk counts beside the one before it: the first is done, the others are foretold."""
SLOWER = 0.3
"""Learning rate of H and the compression beside that of L: each of their numbers has thousands of inputs, which would
move it far at once."""
LARGEST_GRADIENT = 1.0
BUILD: dict[str, Callable[[Any], Any]] = {
    "core": SageCore.from_config,
    "learning": SageCore.from_config,
    "heads": CompressionHeads.from_config,
}
"""What a checkpoint's modules are built by."""
READ_EVERY = 25
"""Updates between two readings of the loss where reading it is to wait for it."""


class Stop(Protocol):
    """The part of :class:`sage_ext.interrupt.StopRequest` that is needed here."""

    def check(self, save: Callable[[], None] | None = None) -> None:
        """Raise where a stop was asked for, after saving."""


class Folders(Protocol):
    """The part of :class:`sage_ext.runs.Run` that is needed here."""

    @property
    def policy(self) -> Path:
        """Where the policy goes."""

    @property
    def acting(self) -> Path:
        """Where what learns is kept."""


class Learner:
    """What learns to act in a run: it goes on from where it was.

    Args:
        config: How.
        mind: Whose averaged encoder gives the contexts.
        memory: What there is to learn from.
        run: Where it is kept, and the policy for others to use.
        space: Of one world's actions.
        reporter: Progress and curves.
        stop: Asked at each safe point.
        seed: Of everything that is drawn.
    """

    def __init__(
        self,
        config: ActConfig,
        mind: Mind,
        memory: Memory,
        run: Folders,
        space: gym.Space,
        reporter: Reporter,
        stop: Stop,
        seed: int,
    ) -> None:
        self._config, self._mind, self._memory, self._run, self._space = config, mind, memory, run, space
        self._reporter, self._stop, self._seed = reporter, stop, seed
        self._nearer = NEARER ** torch.arange(config.chunk, device=mind.device)
        self.learned: dict[str, Any] = {"updates": 0, "calibrated": False}
        self._load()

    def _load(self) -> None:
        config, spec, folder = self._config, self._mind.acting.encoder.spec, self._run.acting
        width = int(self._space.shape[0])  # type: ignore[index]
        shape = config.chunk, config.h_every, config.history
        core = SageCore(spec, width, *shape, seed=derived_seed(self._seed, "core"))
        heads = CompressionHeads(width, config.chunk, seed=derived_seed(self._seed, "compression"))
        saved = None
        if (folder / "checkpoint.json").is_file():
            saved = checkpoint.load(folder, BUILD)
            before: Any = saved.modules["learning"]
            before.history = config.history  # no weight depends on it
            if before.config() != core.config():
                self._reporter.say("the core has another shape than before: it begins anew")
                saved = None
        self.core = (core if saved is None else before).to(self._mind.device)
        self._heads: Any = (heads if saved is None else saved.modules["heads"]).to(self._mind.device)
        self.average, self._enter = deepcopy(self.core), ema(config.average)
        quick = [*self.core.fast.parameters(), *self._heads.parameters()]
        slow = [*self.core.slow.parameters(), *self.core.bottleneck.parameters()]
        groups = [{"params": quick, "share": 1.0}, {"params": slow, "share": SLOWER}]
        self._optimizer = torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)
        if saved is not None:
            self.average.load_state_dict(saved.modules["core"].state_dict())
            self.learned = saved.extra["learned"]
            if saved.optimizer is not None:
                checkpoint.restore_optimizer(self._optimizer, saved.optimizer)
                for group in self._optimizer.param_groups:
                    group.update(weight_decay=config.weight_decay)

    def go(self, mark: list[int], live: Callable[[int], float]) -> dict[str, Any]:
        """Learn, and with rounds of DAgger live and learn again.

        Args:
            mark: Tells one learning from another: that which was interrupted is finished.
            live: Lives a round of DAgger, by its number from 1, under the policy as it is; gives its success rate.

        Returns:
            ``objective``, ``updates`` so far, ``loss`` of the last ones, and ``lived``, success rates of the rounds.

        Raises:
            SageError: There is nothing to learn from, a damaged file, a full disk.
        """
        learned = self.learned
        if learned.get("mark") != mark:
            learned |= {"mark": mark, "round": 0, "done": 0, "loss": 0.0, "lived": []}
        chosen_objective(self._memory, self._config)
        while learned["round"] <= self._config.rounds:
            if learned["round"] and not learned["done"]:
                learned["lived"] = [*learned["lived"][: learned["round"] - 1], live(learned["round"])]
            self._round()
            learned |= {"round": learned["round"] + 1, "done": 0}
            self._save()
            self.policy().save(self._run.policy)
        objective = chosen_objective(self._memory, self._config)
        return {"objective": objective} | {key: learned[key] for key in ("updates", "loss", "lived")}

    def policy(self) -> SagePolicy:
        """What acts: the averaged weights."""
        return SagePolicy.for_space(self._mind.acting.encoder, self.average, self._space)

    def _save(self) -> None:
        parts: dict[str, Any] = {"core": self.average, "learning": self.core, "heads": self._heads}
        checkpoint.save(self._run.acting, parts, {"learned": self.learned}, self._optimizer)

    def _round(self) -> None:
        config, learned, mind = self._config, self.learned, self._mind
        contexts = Contexts(self._run.acting, fingerprint(mind))
        wanted = views(self._memory.episodes, config.sense_dropout, self._seed)
        left = sum(view.length for view in wanted if view not in contexts)
        with self._reporter.phase("act", total=left, unit="looks") as bar:
            bar.note(doing="encoding")

            def on_steps(count: int) -> None:
                bar.advance(count)
                self._stop.check()

            encode(mind, self._memory, contexts, wanted, on_steps)
        senses = list(self.core.fast.glance.spec.senses)
        number = learned["round"]
        chance = self._generator("value", number)
        lessons = gather(self._memory, contexts, wanted, senses, config, chance, mind.device)
        if not learned["calibrated"]:
            self.core.calibrate(*lessons.looks(CALIBRATION, self._generator("calibration")), self._seed)
            self.average.load_state_dict(self.core.state_dict())
            learned["calibrated"] = True
        self.core.train()
        saved, losses = time.monotonic(), list[Tensor]()

        def save() -> None:
            self._tell(losses)
            self._save()

        with self._reporter.phase("act", config.updates, "updates", learned["done"]) as bar, mind.at_work():
            while learned["done"] < config.updates:
                generator = self._generator("update", number, learned["done"])
                losses.append(self._update(lessons.draw(config.batch, config.steps, config.chunk, generator)))
                learned |= {"updates": learned["updates"] + 1, "done": learned["done"] + 1}
                bar.advance()
                # To read a loss is to wait for it.
                if mind.device.type == "cpu" or len(losses) == READ_EVERY or learned["done"] == config.updates:
                    self._tell(losses)
                    bar.note(loss=learned["loss"])
                if time.monotonic() - saved > SAVE_EVERY_S:
                    save()
                    saved = time.monotonic()
                self._stop.check(save)

    def _tell(self, losses: list[Tensor]) -> None:
        """Read the losses of the last updates, and forget them."""
        learned = self.learned
        for back, loss in zip(range(len(losses) - 1, -1, -1), [float(x) for x in losses], strict=True):
            # Over the last hundred or so.
            learned["loss"] = 0.99 * learned["loss"] + 0.01 * loss if learned["done"] - back > 1 else loss
            self._reporter.scalar("act/loss", loss, learned["updates"] - back)
        losses.clear()

    def _generator(self, *use: object) -> torch.Generator:
        return torch.Generator().manual_seed(derived_seed(self._seed, *use))

    def _update(self, batch: Batch) -> Tensor:
        for group in self._optimizer.param_groups:
            group["lr"] = group["share"] * self._config.lr * pace(self.learned["done"] / self._config.updates)
        self._optimizer.zero_grad(set_to_none=True)
        # In float32 on a GPU as well: a hand has to be exact to millimetres, and there the launches take the time.
        # Every stretch begins with nothing remembered.
        chunk, _, extras = self.core.sequence(batch.context, batch.senses, present=batch.present)
        missed = (chunk - batch.target).abs().mean(-1)
        weight = batch.weight * self._nearer
        loss = (missed * weight).sum() / weight.sum().clamp(min=1e-6)
        standard = self.core.bottleneck.standard(batch.context)
        lost = self._heads(extras.message, standard, batch.target, batch.weight > 0)
        (loss + KEPT * sum(lost.values()) + PONDER * extras.cost.mean()).backward()
        torch.nn.utils.clip_grad_norm_(self.core.parameters(), LARGEST_GRADIENT)
        self._optimizer.step()
        self._enter(list(self.average.parameters()), list(self.core.parameters()), self.learned["updates"])
        return loss.detach()
