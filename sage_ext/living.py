"""Living episodes in a run: with progress, to be interrupted at any step and gone on with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .environment import Environment, Policy
from .interrupt import StopRequest
from .memory import Memory
from .report import Reporter
from .wake import wake


class Living:
    """Lives in a run.

    Args:
        env: Where.
        memory: Where steps go.
        state: Of the run; how far a living is stands under the name of its phase.
        remember: Changes the state and writes it.
        snapshot_every: Steps between two snapshots.
        reporter: Progress.
        stop: Asked after each step.
    """

    def __init__(
        self,
        env: Environment,
        memory: Memory,
        state: dict[str, Any],
        remember: Callable[..., None],
        snapshot_every: int,
        reporter: Reporter,
        stop: StopRequest,
    ) -> None:
        self._env, self._memory, self._state, self._remember = env, memory, state, remember
        self._every, self._reporter, self._stop = snapshot_every, reporter, stop

    def go(
        self, phase: str, mark: Any, episodes: int, make_policy: Callable[[int], Policy], seed: int
    ) -> dict[str, float]:
        """Live episodes, or what is left of them; nothing if they were lived already.

        Args:
            phase: Which one lives.
            mark: Tells one living of this phase from another, as plain JSON.
            episodes: How many.
            make_policy: Given a seed, where actions come from.
            seed: Of all of it.

        Returns:
            See :func:`sage_ext.wake.wake`.
        """
        begun = self._state.get(phase)
        if begun is None or begun["cycle"] != mark:
            begun = {"cycle": mark, "done": 0, "head": self._memory.head, "successes": 0.0}
            self._remember(**{phase: begun})
        elif "lived" in begun:
            lived: dict[str, float] = begun["lived"]
            return lived
        # Whatever a living that was cut short left behind its last whole wave is lived again.
        self._memory.forget_since(begun["head"])
        total = (episodes - begun["done"]) * self._env.max_episode_length

        def on_step(steps: int, extras: dict[str, Any]) -> None:
            bar.advance(steps)
            self._stop.check()

        def on_wave(done: int, successes: float) -> None:
            new = {**begun, "done": done, "head": self._memory.head, "successes": successes}
            self._remember(**{phase: new})

        with self._reporter.phase(phase, total=total, unit="steps") as bar:
            lived = wake(
                self._env,
                make_policy,
                self._memory,
                episodes,
                self._every,
                seed,
                begun["done"],
                on_step,
                on_wave,
                successes=begun["successes"],
            )
        results = self._state["results"]
        results |= {
            "episodes": results.get("episodes", 0) + int(lived["episodes"]),
            "experiences": len(self._memory),
        }
        self._remember(**{phase: {**self._state[phase], "lived": lived}})
        return lived
