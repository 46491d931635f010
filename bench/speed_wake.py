"""Wake against the bare simulator, block by block in one simulator and one go.

The product's own :func:`sage_ext.wake.wake` runs and is not copied here: between two of its steps it calls back, and
there blocks end and begin (:mod:`bench.blocks`), and the bare simulator gets its turns.

What is bare: the same worlds, engine, time step, actuators and camera, driven by a policy of the same kind. A step
hands the actions over, takes ``decimation`` physics steps as Isaac Lab does (``scene.write_data_to_sim``,
``sim.step``, ``scene.update``) and renders RGB and depth once. So that it carries nothing of ours:

* Rays are cast by Isaac Lab's own renderer. Ours, which uses all cores of a CPU, is measured beside it: wake with both,
  so that one ratio tells what users get and the other what the senses cost, and bare with ours.
* The contact sensors, our touch and hearing, which refresh with every physics step because they keep a history, are
  out of the scene while bare steps are taken.
* The camera is not moved by us but follows as one that Isaac Lab mounts on a robot (``update_latest_camera_pose``).
  It therefore looks from where the last step of wake put it, a second ago.
* Bare never resets, while wake is charged the reset that ends an episode.
* Both run with one torch thread, as :func:`sage_ext.cycle.run_phases` has it; bare is no slower for it.

One thing cannot be taken off a running engine: bodies report their contacts to whoever asks. In processes of their
own, without any contact report and with a camera mounted on the robot, four physics steps of 16 worlds took about
0.6 ms less of some 30 that a bare step took, and the camera took no less.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .blocks import BARE, ENCODE, Block, Blocks, Kind, Times
from .timing import Parts, synchronizer

if TYPE_CHECKING:
    from torch import Tensor

    from sage_ext.environment import Policy
    from sage_ext.memory import Memory
    from sage_ext.mind import Mind

CONTACTS = ("object_contacts", "skin_contacts")


def two_renderers(env: Any) -> bool:
    """Whether our renderer casts rays otherwise than Isaac Lab's does."""
    return hasattr(env.scene["camera"]._renderer, "stock") and not str(env.device).startswith("cuda")


@contextmanager
def dressed(env: Any, kind: Kind) -> Iterator[None]:
    """Give the scene what a kind of block needs, and put everything back.

    Args:
        env: The environment.
        kind: Stock blocks get Isaac Lab's renderer; bare ones lose the contact sensors and a camera moved by us.
    """
    camera, sensors = env.scene["camera"], env.scene.sensors
    kept, follows = dict(sensors), camera.cfg.update_latest_camera_pose
    if kind.stock:
        camera._renderer.stock = True
    if kind.case == BARE:
        for name in CONTACTS:
            del sensors[name]
        camera.cfg.update_latest_camera_pose = True
    try:
        yield
    finally:
        camera.cfg.update_latest_camera_pose = follows
        sensors.clear()
        sensors.update(kept)
        if kind.stock:
            camera._renderer.stock = False


def bare_step(env: Any, action: Tensor) -> None:
    """One environment step of the simulator alone; see the module."""
    env.command(action)
    for _ in range(env.cfg.decimation):
        env.scene.write_data_to_sim()
        env.sim.step(render=False)
        env.scene.update(dt=env.physics_dt)
    camera = env.scene["camera"]
    camera.update(0.0, force_recompute=True)
    _ = camera.data.output["rgb"].torch, camera.data.output["depth"].torch


class Encoding:
    """Actions of another policy; in blocks that say so, each observation is encoded first, history and all."""

    def __init__(self, policy: Policy, mind: Mind, blocks: Blocks) -> None:
        self._policy, self._mind, self._blocks = policy, mind, blocks
        self._state: Tensor | None = None

    def act(self, observation: dict[str, Any]) -> Tensor:
        """See :meth:`sage_ext.environment.Policy.act`."""
        if self._blocks.case == ENCODE:
            import torch

            with torch.no_grad():
                _, self._state = self._mind.objective.encoder.step(observation["policy"], self._state)
        return self._policy.act(observation)


class _Done(Exception):
    """The schedule was run."""


def measure(env: Any, mind: Mind, memory: Memory, blocks: list[Block], snapshot_every: int, seed: int) -> Times:
    """Run the schedule within wake, one wave of it unless episodes end early.

    Args:
        env: The environment, whose episodes last :func:`~bench.blocks.wake_steps` at least.
        mind: Its encoder encodes.
        memory: Where steps go.
        blocks: The schedule.
        snapshot_every: Steps between two snapshots.
        seed: Seed of the wave.

    """
    from sage_ext import wake as waking
    from sage_tasks.policies import make_policy

    mind.objective.eval()
    other = make_policy("random", env, seed + 1)
    sync, contacts = synchronizer(env.device), [env.scene[name] for name in CONTACTS]

    def bare(steps: int) -> None:
        for _ in range(steps):
            bare_step(env, other.act({}))

    def watch() -> Parts:
        return stopwatches(Parts(sync), env, contacts, mind, memory, waking)

    def check() -> None:
        if run.done:
            raise _Done

    run = Blocks(blocks, bare, lambda kind: dressed(env, kind), watch, sync)
    try:
        waking.wake(
            env,
            lambda s: Encoding(make_policy("random", env, s), mind, run),
            memory,
            sys.maxsize,
            snapshot_every,
            seed,
            on_step=run.on_step,
            check=check,
        )
    except _Done:
        pass
    finally:
        run.close()
    run.times.reset = _reset_seconds(env, seed)
    return run.times


def stopwatches(parts: Parts, env: Any, contacts: list[Any], mind: Any, memory: Any, waking: Any) -> Parts:
    """Say which methods make up which part of a step."""
    scene, camera = env.scene, env.scene["camera"]
    parts.method("physics: write, step, read", scene, "write_data_to_sim", "update")
    parts.method("physics: write, step, read", env.sim, "step")
    for sensor in contacts:
        parts.method("contact sensors (touch, audio)", sensor, "update")
    parts.method("physics control, actions", env, "_apply_action", "command")
    parts.method("camera pose", camera, "set_world_poses")
    parts.method("camera pose", env, "camera_pose")
    parts.method("sense: RGB and depth", camera, "update")
    parts.method("sense: RGB and depth", env, "look")
    parts.method("sense: audio", env.senses.hearing, "listen")
    parts.method("sense: touch", env.touch, "feel")
    parts.method("sense: proprioception, IMU", env, "_proprioception")
    parts.method("sense: proprioception, IMU", env.senses.imu, "feel")
    parts.method("ground truth", env, "_critic")
    parts.method("rewards, ends", env, "_get_rewards", "_get_dones")
    parts.method("snapshots", env, "snapshot")
    parts.method("memory", memory, "append")
    parts.method("memory", waking, "remembered_step")
    parts.method("encoding", mind.objective.encoder, "step")
    return parts


def _reset_seconds(env: Any, seed: int, repeats: int = 3) -> float:
    """What an episode's end costs: the reset within its last step, and the one that begins a wave."""
    import torch

    sync = synchronizer(env.device)
    everyone = torch.arange(env.num_envs, device=env.device, dtype=torch.int32)
    spent = []
    for number in range(repeats):
        sync()
        start = time.perf_counter()
        env._reset_idx(everyone)
        env.reset(seed=seed + number)
        sync()
        spent.append(time.perf_counter() - start)
    return sorted(spent)[repeats // 2]
