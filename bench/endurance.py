"""Endurance: random actions under wild physics, and nothing may break: ``python -m bench.endurance``."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from sage_ext.errors import SageError

from .table import OURS, Table, arguments, run_bench, say

RANGES = {"gravity": (0.1, 3.0), "friction": (0.1, 3.0), "mass": (0.2, 5.0)}
"""Factors on nominal physics, drawn evenly in their logarithms."""
CASES = ("nominal", "wild")
CHANGE_EVERY = 30
"""Environment steps after which a quarter of the worlds gets other physics in mid-episode."""
REPORT_EVERY = 900

DESCRIPTION = """\
Lives random actions in parallel worlds for some simulated minutes and counts what must not happen. In the case `wild`
gravity is x0.1 to x3, friction x0.1 to x3 and mass x0.2 to x5, drawn for each world at the start of its episode and
again in mid-episode; `nominal` is the task as it is. All senses are computed; pictures only with --camera.

metrics:
  nan            worlds whose state or senses were not finite, the guard's own count included; must be 0
  outside        worlds found with a body outside the room that did not end their episode; must be 0
  exceptions     1 if the run broke off; must be 0
  episodes       how many ended, and of them
  strayed          because a body left the room (the guard)
  terminated       by any end but the time limit
  top_speed      of any object [m/s]
  minutes        simulated, of each world
  steps_per_s    of all worlds together
"""

EPILOG = """\
examples:
  python -m bench.endurance                        10 minutes of 16 worlds, wild; Ctrl-C ends it early, rows and all
  python -m bench.endurance --cases nominal wild --minutes 1 --physics newton_mjwarp --worlds 4
"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("endurance", DESCRIPTION, EPILOG)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=["wild"], help="which to live (default wild)")
    parser.add_argument("--task", default="Sage-Navigation", metavar="ID", help="which task (default %(default)s)")
    parser.add_argument("--physics", default="ovphysx", metavar="ENGINE", help="which engine (default %(default)s)")
    parser.add_argument("--worlds", type=int, default=16, metavar="N", help="how many (default %(default)s)")
    parser.add_argument(
        "--minutes", type=float, default=10.0, metavar="M", help="simulated time of each world (default %(default)s)"
    )
    parser.add_argument("--camera", action="store_true", help="render every step, too")
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """All cases asked for.

    Raises:
        SageError: A number is out of range, or the simulator does not know the task or engine.
    """
    for key in ("worlds", "minutes"):
        value = getattr(options, key)
        if not 0 < value < math.inf:
            raise SageError(f"--{key}", value, "must be above 0", f"use --{key} 10")
    from sage_tasks.make import make

    budget = {"task": options.task, "physics": options.physics, "worlds": options.worlds, "minutes": options.minutes}
    table = Table("endurance", budget | {"camera": options.camera}, [options.seed])
    start = time.monotonic()
    try:
        device = "cpu" if options.preset == "cpu" else "cuda:0"
        env: Any = make(
            options.task, num_envs=options.worlds, seed=options.seed, physics=options.physics, device=device
        )
    except ValueError as error:
        raise SageError("--task/--physics", f"{options.task}/{options.physics}", str(error), "see --help") from error
    if not options.camera:
        blind(env)
    env.cfg.faults = tempfile.mkdtemp(prefix="sage-faults-")
    try:
        for case in options.cases:
            live(table, env, case, options)
    finally:
        env.close()
    if any(Path(env.cfg.faults).iterdir()):
        say(f"states of broken worlds: {env.cfg.faults}")
    table.budget["seconds"] = round(time.monotonic() - start)
    return table


def blind(env: Any) -> None:
    """Keep an environment from rendering; everything else goes on."""
    shown = env.look()

    def look(meanwhile: Any = lambda: None) -> Any:
        meanwhile()
        return shown

    env.look = look


def live(table: Table, env: Any, case: str, options: argparse.Namespace) -> None:
    """Live one case and add its rows."""
    import torch

    from sage_tasks.policies import make_policy

    generator = torch.Generator().manual_seed(options.seed)
    policy = make_policy("random", env, options.seed)
    steps = max(1, round(options.minutes * 60 / env.step_dt))
    count: Counter[str] = Counter(dict.fromkeys(("nan", "outside", "exceptions", "episodes", "terminated"), 0))
    width, depth, height = env.cfg.bounds
    high = torch.tensor([width, depth, height], device=env.device)
    low = torch.tensor([-width, -depth, -1.0], device=env.device)
    strayed, broken, top, done = env.guard.strayed, env.guard.broken, 0.0, 0
    say(f"{case}: {steps} steps of {env.num_envs} worlds")
    start = time.monotonic()
    try:
        observation, _ = env.reset(seed=options.seed)
        ended = torch.ones(env.num_envs, dtype=torch.bool)
        for done in range(1, steps + 1):
            if case == "wild":
                change = ended.cpu()
                if done % CHANGE_EVERY == 0:
                    change = change | (torch.rand(env.num_envs, generator=generator) < 0.25)
                turn(env, change.nonzero().squeeze(1), generator)
            observation, reward, terminated, truncated, _ = env.step(policy.act(observation))
            ended = terminated | truncated
            count["episodes"] += int(ended.sum())
            count["terminated"] += int(terminated.sum())
            critic, senses = observation["critic"], observation["policy"]
            finite = torch.isfinite(reward)
            for value in (*critic.values(), *senses.values()):
                if value.is_floating_point():
                    finite &= torch.isfinite(value).flatten(1).all(dim=1)
            count["nan"] += int((~finite).sum())
            # Those that ended are in a new episode already: whatever is outside now did not end its own.
            places = critic["object_pose"][..., :3]
            count["outside"] += int(((places < low) | (places > high)).flatten(1).any(dim=1).sum())
            top = max(top, float(critic["object_velocity"][..., :3].norm(dim=-1).max()))
            if done % REPORT_EVERY == 0:
                say(f"{case}: {done} steps, {dict(count)}, strayed {env.guard.strayed - strayed}")
    except KeyboardInterrupt:
        say(f"{case}: told to stop after {done} steps")
    except Exception as error:
        count["exceptions"] += 1
        say(f"{case}: broke off after {done} steps: {error!r}")
    count["nan"] += env.guard.broken - broken
    count["strayed"] = env.guard.strayed - strayed
    for name in ("nan", "outside", "exceptions", "episodes", "terminated", "strayed"):
        table.add(OURS, case, name, count[name])
    table.add(OURS, case, "top_speed", top)
    table.add(OURS, case, "minutes", done * env.step_dt / 60)
    table.add(OURS, case, "steps_per_s", done * env.num_envs / (time.monotonic() - start))


def turn(env: Any, worlds: Any, generator: Any) -> None:
    """Give some worlds (n,) other physics."""
    import torch

    if not len(worlds):
        return
    factor = {}
    for name, (least, most) in RANGES.items():
        share = torch.rand(len(worlds), generator=generator)
        factor[name] = (math.log(least) + share * math.log(most / least)).exp().to(env.device)
    env.physics.set_gravity(env.physics.nominal_gravity[worlds] * factor["gravity"].unsqueeze(1), worlds)
    env.physics.set_friction_scale(factor["friction"], worlds)
    env.physics.set("mass_scale", factor["mass"], worlds)


if __name__ == "__main__":
    sys.exit(main())
