"""One run: wake, sleep and dream in turn, resumable, with a summary in the end.

What a run has gone through is in two places that are each replaced whole: ``state.json`` says
which phase of which cycle comes next, the checkpoint what has been learned. Every part that can
be interrupted draws from seeds of its own, so that living it again gives the same.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import torch

from .act.learner import Learner
from .act.sources import Sources
from .after import earlier_runs
from .config import Config
from .context import checkpoint
from .dream import Explored, calibrate_on_memory, explore, first_judged, keep, recall, teach
from .dream_file import save_dreams
from .environment import Environment, Policy, derived_seed
from .gallery import save_gallery
from .interrupt import StopRequest
from .learning.diagnostics import group_ranks
from .live.publish import Publisher
from .living import Living
from .memory import Memory
from .mind import Mind
from .observation import ObservationSpec
from .report import STARTING, Reporter, peak_gb
from .runs import Run
from .sleep import Keeper, Moments, Priorities, Rehearsal, Rounds, consolidate
from .threads import torch_threads
from .wake import open_memory

PHASES = ("wake", "sleep", "dream")
SAVE_EVERY_S = 120.0
"""Least time between two checkpoints within a sleep [s]; one also follows each sleep and each stop."""


RANKED = 512
"""Looks from which the rank of each group is told during a sleep: enough to see a collapse."""


class Body(Protocol):
    """Makes environments and policies; the mind knows no simulator."""

    def environment(self, config: Config) -> Environment:
        """Start the simulator of a run."""

    def policy(self, name: str, env: Environment, seed: int) -> Policy:
        """A source of actions by its name."""

    def disturbance(self, env: Environment) -> float:
        """How much demonstrations of its task are disturbed where the config does not say."""


def run_phases(
    config: Config,
    run: Run,
    phases: Sequence[str],
    reporter: Reporter,
    stop: StopRequest,
    body: Body,
    device: str | None = None,
) -> dict[str, Any]:
    """Go through the phases of all cycles that are still to come.

    Args:
        config: The run's config.
        run: Its folder, open.
        phases: Phases of a cycle, in order.
        reporter: Progress, curves and the final table.
        stop: Asked at each safe point.
        body: Makes the environment.
        device: Where the mind learns and thinks; the environment's by default.

    Returns:
        The summary, also written to ``summary.json``.

    Raises:
        SageError: Bad input, a damaged file, a full disk.
        Interrupted: A stop was asked for; the run can be resumed.
    """
    # The tensors of a step are too small to share out.
    with torch_threads(1):
        with reporter.phase("start", total=None, unit="") as bar:
            bar.note(doing=STARTING)
            env = body.environment(config)
            Publisher.attach(env, run.path)
            # Engines install handlers of their own.
            stop.arm()
        try:
            return _Cycle(config, run, tuple(phases), reporter, stop, body, env, device or str(env.device)).go()
        finally:
            env.close()


class _Cycle:
    """A run in progress."""

    def __init__(
        self,
        config: Config,
        run: Run,
        phases: tuple[str, ...],
        reporter: Reporter,
        stop: StopRequest,
        body: Body,
        env: Environment,
        device: str,
    ) -> None:
        self.config, self.run, self.phases, self.reporter, self.stop = config, run, phases, reporter, stop
        self.body, self.env, self.device = body, env, device
        self.memory: Memory = open_memory(run.memory, env, config.memory.capacity)
        if (run.checkpoint / "checkpoint.json").exists():
            self.mind = Mind.load(run.checkpoint, config.sleep, device)
        else:
            spec = ObservationSpec.from_space(env.single_observation_space["policy"])
            width = int(env.single_action_space.shape[0])  # type: ignore[index]
            fit = (spec, width, env.num_objects, config.sleep)
            if config.after:
                self.mind = Mind.inherit(earlier_runs(config)[0].checkpoint, *fit, device)
                # What it comes from may learn on.
                self.mind.save(run.checkpoint)
            else:
                self.mind = Mind.create(*fit, derived_seed(config.seed, "mind"), device)
        self.state: dict[str, Any] = {"cycle": 0, "phase": 0, "visit": 0, "results": {}, "seconds": {}, **run.state}
        self.spent: dict[str, float] = dict(self.state["seconds"])

    def go(self) -> dict[str, Any]:
        """Run what is left, then sum up."""
        try:
            while self.state["cycle"] < self.config.cycles:
                self.reporter.cycle(self.state["cycle"])
                while self.state["phase"] < len(self.phases):
                    getattr(self, f"_{self.phases[self.state['phase']]}")(self.state["cycle"])
                    self._remember(phase=self.state["phase"] + 1)
                self._remember(cycle=self.state["cycle"] + 1, phase=0)
            return self._sum_up()
        finally:
            self.memory.close()

    def _remember(self, **changes: Any) -> None:
        self.state |= changes
        self.state["seconds"] = self._seconds()
        self.run.write_state(self.state)

    def _seconds(self) -> dict[str, float]:
        """Seconds of each phase, those of processes that were interrupted included."""
        now = self.reporter.seconds
        return {k: round(self.spent.get(k, 0.0) + now.get(k, 0.0), 2) for k in {**self.spent, **now}}

    def _seed(self, use: str, *parts: int) -> int:
        return derived_seed(self.config.seed, use, self.state["visit"], *parts)

    def _result(self, **values: Any) -> None:
        self.state["results"] |= values

    def _wake(self, cycle: int) -> None:
        config = self.config.wake
        disturbance = self.body.disturbance(self.env) if config.disturbance is None else config.disturbance
        source = Sources(self.run.policy, self.body, self.env, disturbance, self.device)
        if config.policy == "sage" and not source.learned:
            self.reporter.say("there is no policy yet: acting at random")
        make = partial(source.make, config.policy)
        lived = self._living().go("wake", cycle, config.episodes, make, self._seed("wake", cycle))
        self.reporter.scalar("wake/success_rate", lived["success_rate"], cycle)
        self._result(success_rate=lived["success_rate"])

    def _living(self) -> Living:
        every = self.config.memory.snapshot_every
        return Living(self.env, self.memory, self.state, self._remember, every, self.reporter, self.stop)

    def _sleep(self, cycle: int) -> None:
        config, learned = self.config.sleep, self.mind.learned
        if learned.get("sleep") != [self.state["visit"], cycle]:
            learned |= {"sleep": [self.state["visit"], cycle], "slept": 0, "round": 0}
        earlier = earlier_runs(self.config) if config.rehearsal else []
        rehearsal = Rehearsal([run.kept for run in earlier], config.rehearsal)
        saved = time.monotonic()
        total = config.passes * (config.consolidations - learned["slept"])
        with self.reporter.phase("sleep", total=total, unit="moments") as bar:

            def on_update(taken: int, losses: dict[str, float]) -> None:
                bar.advance(taken)
                bar.note(loss=losses["loss"])
                for name, value in losses.items():
                    self.reporter.scalar(f"sleep/{name}", value, learned["updates"])

            def seed(number: int) -> int:
                return self._seed("sleep", cycle, number)

            rounds = Rounds(self.env, self.memory, config, seed, rehearsal, self._priorities(cycle))
            share = min(1.0, config.keep / rounds.lived_again(config.consolidations))
            keeper = Keeper(self.run.kept, f"{self.state['visit']}-{cycle}", share)
            keeper.begin()
            with rounds.ahead(learned["round"], learned["slept"]) as lived:
                for number, moments in lived:
                    generator = torch.Generator().manual_seed(self._seed("learn", cycle, number))
                    bar.note(doing="learning")
                    lived_again = torch.arange(rounds.lived_again(len(moments)))
                    keeper.keep(moments.take(lived_again), number, number * rounds.lived_again(config.round))
                    slept = learned["slept"] + len(moments)
                    stretch = learned["slept"] / config.consolidations, slept / config.consolidations
                    with self.mind.at_work():
                        losses = consolidate(self.mind, moments, config, generator, on_update, stretch)
                    learned |= {"slept": slept, "round": number + 1, "losses": losses}
                    self._diagnose(moments)
                    if time.monotonic() - saved > SAVE_EVERY_S:
                        self.mind.save(self.run.checkpoint)
                        saved = time.monotonic()
                    self.stop.check(lambda: self.mind.save(self.run.checkpoint))
                    bar.note(doing="re-living")
            bar.note(doing="saving")
            self.mind.save(self.run.checkpoint)
        losses = learned["losses"]
        self._result(
            consolidations=learned["consolidations"],
            updates=learned["updates"],
            loss=losses["loss"],
            collapsed_loss=losses["collapsed"],
            losses=losses,
        )

    def _priorities(self, cycle: int) -> Priorities | None:
        """What surprised as this sleep began."""
        config, learned = self.config.sleep, self.mind.learned
        if not config.priority:
            learned.pop("priorities", None)
            return None
        if learned["round"] == 0 or "priorities" not in learned:
            generator = torch.Generator().manual_seed(self._seed("priority", cycle))
            learned["priorities"] = Priorities.measure(self.mind, self.memory, config, generator)
        return Priorities(learned["priorities"], config.priority)

    def _diagnose(self, moments: Moments) -> None:
        """Curves of how many directions each group uses."""
        seen = moments.seen(RANKED)
        for name, share in group_ranks(self.mind.encode(seen), seen.get("tactile")).items():
            self.reporter.scalar(f"rank/{name}", share, self.mind.learned["updates"])

    def _dream(self, cycle: int) -> None:
        config = self.config.dream
        generator = torch.Generator().manual_seed(self._seed("dream", cycle))
        self.env.reseed(self._seed("dream", cycle))
        with self.reporter.phase("dream", total=config.explorations, unit="dreams") as bar:

            def on_dream(dream: Explored) -> None:
                side_by_side = torch.cat([dream.twin_frames[dream.at], dream.frames[-1]], dim=1)
                self.reporter.image(f"dream/{bar.done}-{dream.kind}", side_by_side.numpy(), cycle)
                bar.advance(1)
                self.stop.check()

            judge = calibrate_on_memory(self.mind, self.memory, config, generator)
            name = f"{self.state['visit']:06d}-{cycle:06d}"
            known = recall(self.run.lessons, name, config.looks, config.kept) if config.kept else None
            taught = known is not None and teach(self.mind, judge, known, first_judged(config))
            checkpoint.save(self.run.judge, {"judge": judge}, {"taught": taught, "start": first_judged(config)})
            dreams = explore(self.env, self.mind, self.memory, config, generator, on_dream, judge)
            save_gallery(self.run.dreams, dreams)
            save_dreams(self.run.scenes, dreams)
            fooled = keep(self.run.lessons, name, dreams) if config.kept else 0
        records = [dream.record() for dream in dreams]
        coherence = [r["coherence"] for r in records]
        twins = [r["twin_coherence"] for r in records]
        told = [(a < b) + 0.5 * (a == b) for a, b in zip(coherence, twins, strict=True)]
        mean = {
            "mean_coherence": sum(coherence) / len(records),
            "mean_twin_coherence": sum(twins) / len(records),
            "pairwise_accuracy": sum(told) / len(records),
        }
        for name, value in mean.items():
            self.reporter.scalar(f"dream/{name}", value, cycle)
        explorations = self.state["results"].get("explorations", 0) + len(records)
        taught_by = len(known) if taught and known is not None else 0
        self._result(explorations=explorations, dreams=records, lessons=taught_by, lessons_kept=fooled, **mean)

    def _act(self, cycle: int) -> None:
        visit, rounds = self.state["visit"], self._living()
        source = Sources(self.run.policy, self.body, self.env, 0.0, self.device)
        make = partial(source.make, "sage", teacher="expert")

        def live(number: int) -> float:
            """A round of DAgger."""
            mark, seed = [visit, cycle, number], self._seed("act", cycle, number)
            return rounds.go("act", mark, self.config.act.episodes, make, seed)["success_rate"]

        learner = Learner(
            self.config.act,
            self.mind,
            self.memory,
            self.run,
            self.env.single_action_space,
            self.reporter,
            self.stop,
            self._seed("act", cycle),
        )
        self._result(act=learner.go([visit, cycle], live))

    def _sum_up(self) -> dict[str, Any]:
        summary = {
            "task": self.config.task.id,
            "physics": self.config.task.physics,
            "policy": self.config.wake.policy,
            "seed": self.config.seed,
            "cycles": self.config.cycles,
            **({"after": self.config.after} if self.config.after else {}),
            **self.state["results"],
            # What depends on the machine and the moment; everything above repeats with the seed.
            "measured": {
                "seconds": self._seconds(),
                "peak_memory_gb": round(peak_gb(), 3),
                "machine": f"{platform.machine()}, {os.cpu_count()} cores, {self.env.device}",
                "finished": time.strftime("%Y-%m-%d %H:%M:%S"),
            },
        }
        self.run.write_summary(summary)
        return summary
