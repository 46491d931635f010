"""The command ``sage-ext play``: its folder, what the user sees, and its results."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .config_checks import STEPS_PER_SECOND
from .environment import Environment, Policy, derived_seed
from .errors import SageError
from .interrupt import StopRequest
from .play import Episode, play, summary
from .play_config import PlayConfig, load_play_config
from .report import STARTING, Bar, Reporter, peak_gb
from .runs import Run, as_json, write_whole
from .simulator import prepare
from .threads import torch_threads
from .video import Film

if TYPE_CHECKING:
    from .body import SimulatedBody

FOLDER = "plays"


def play_command(tokens: list[str], verbose: bool) -> None:
    """Play a policy, print how it went, and write ``play.json`` and the film.

    Args:
        tokens: ``key=value`` settings.
        verbose: Show what the simulator prints.

    Raises:
        SageError: Bad input; nothing is left on the disk.
        ValueError: What ``sage_tasks`` refuses in one line; nothing is left either.
        Interrupted: Ctrl-C; nothing is left either.
    """
    config = load_play_config(tokens)
    if config.policy == "sage":
        from .act.sources import need_policy

        need_policy(Run.open(str(config.run), lock=False).policy)
    prepare(config.task.device)
    reporter = Reporter(verbose=verbose)
    try:
        with _folder(config) as folder:
            with StopRequest() as stop, reporter.quiet(folder / "simulator.log"), _film(config, folder) as film:
                result = _played(config, reporter, stop, film)
            write_whole(folder / "play.json", as_json(result))
        reporter.rows(_rows(result))
        reporter.say(f"results {folder / 'play.json'}" + (f", film {folder / 'play.mp4'}" if film else ""))
    finally:
        reporter.close()


def _played(config: PlayConfig, reporter: Reporter, stop: StopRequest, film: Film | None) -> dict[str, Any]:
    from .body import SimulatedBody

    body = SimulatedBody()
    # As in a run: the tensors of a step are too small to share out.
    with torch_threads(1):
        with reporter.phase("start", total=None, unit="") as bar:
            bar.note(doing=STARTING)
            env = body.environment(config)
            worlds, device = env.num_envs, str(env.device)
            # Engines install handlers of their own.
            stop.arm()
        try:
            policy = _policy(config, body, env)
            with reporter.phase("play", total=config.episodes, unit="episodes") as bar:
                audience = _Audience(bar, film, stop, worlds)
                start = time.monotonic()
                episodes = play(env, policy, config.episodes, config.seed, audience.before_step, audience.after_step)
                seconds = time.monotonic() - start
        finally:
            env.close()
    return {
        **{key: value for key, value in asdict(config).items() if key not in ("out", "video", "video_worlds")},
        **summary(episodes),
        "measured": {
            "steps": audience.steps,
            "seconds": {"start": round(reporter.seconds["start"], 3), "play": round(seconds, 3)},
            "steps_per_second": round(audience.steps / seconds, 1),
            "peak_memory_gb": round(peak_gb(), 3),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {device}",
            "finished": time.strftime("%Y-%m-%d %H:%M:%S"),
        },
    }


def _policy(config: PlayConfig, body: SimulatedBody, env: Environment) -> Policy:
    if config.policy != "sage":
        return body.policy(config.policy, env, derived_seed(config.seed, "play"))
    from .act.sources import learned

    run = Run.open(str(config.run), lock=False)
    return learned(run.policy, env, () if config.missing is None else (config.missing,))


class _Audience:
    """Everything that looks on while a policy plays."""

    def __init__(self, bar: Bar, film: Film | None, stop: StopRequest, worlds: int) -> None:
        self._bar, self._film, self._stop, self._worlds = bar, film, stop, worlds
        self._successes, self._ended = 0, 0
        self.steps = 0

    def before_step(self, observation: dict[str, Any], succeeded: Tensor) -> None:
        if self._film is not None:
            self._film.look(observation["policy"], succeeded)

    def after_step(self, ended: list[Episode]) -> None:
        self.steps += self._worlds
        self._ended += len(ended)
        self._successes += sum(bool(episode.success) for episode in ended)
        for episode in ended:
            if self._film is not None:
                self._film.end(episode.world, bool(episode.success))
        self._bar.note(steps=self.steps)
        if self._ended:
            self._bar.note(success=self._successes / self._ended)
        self._bar.advance(len(ended))
        self._stop.check()


def _film(config: PlayConfig, folder: Path) -> AbstractContextManager[Film | None]:
    if not config.video:
        return nullcontext()
    return Film(folder / "play.mp4", min(config.video_worlds, config.task.num_envs), STEPS_PER_SECOND)


@contextmanager
def _folder(config: PlayConfig) -> Iterator[Path]:
    """A new folder for the results, which is removed again where none come about."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    path = Path(config.out or Path(FOLDER) / f"{stamp}-{config.task.id}-{config.policy}")
    try:
        path.mkdir(parents=True)
    except FileExistsError as error:
        raise SageError("out", path, "is there already", "name a new folder") from error
    except OSError as error:
        raise SageError(
            "out", path, f"cannot be made ({error.strerror})", "set out=FOLDER to a writable one"
        ) from error
    try:
        yield path
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            Path(FOLDER).rmdir()
        raise


def _rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("task", result["task"]["id"]), ("policy", result["policy"]), ("episodes", f"{result['episodes']:,d}")]
    if "success_rate" in result:
        low, high = result["success_interval"]
        rows.append(("success rate", f"{result['success_rate']:.3f}"))
        rows.append(("95 % interval of it", f"{low:.3f}..{high:.3f}"))
    rows += [("mean return", f"{result['mean_return']:.3f}"), ("mean length", f"{result['mean_length']:.1f} steps")]
    rows += [(name, f"{value:.4g}") for name, value in result["log"].items()]
    return [*rows, ("steps a second", f"{result['measured']['steps_per_second']:,.0f}")]
