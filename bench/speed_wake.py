"""Wake against the bare simulator, block by block in one simulator and one go.

The product's own :func:`sage_ext.wake.wake` runs and is not copied here: between two of its steps it calls back, and
there blocks end and begin, and the bare simulator gets its turns.

What is bare: the same worlds, engine, actuators and camera, driven by a policy of the same kind. A step hands the
actions over, takes ``decimation`` physics steps as Isaac Lab does (``scene.write_data_to_sim``, ``sim.step``,
``scene.update``) and renders RGB and depth once. So that it carries nothing of ours:

* The contact sensors, our touch and hearing, which refresh with every physics step because they keep a history, are
  out of the scene while bare steps are taken.
* The camera is not moved by us but follows as one that Isaac Lab mounts on a robot (``update_latest_camera_pose``).
  It therefore looks from where the last step of wake put it, a second ago.
* Bare never resets, while wake is charged the reset that ends an episode.

One thing cannot be taken off a running engine: bodies report their contacts to whoever asks. In processes of their own,
without any contact report and with a camera mounted on the robot, 16 worlds took 0.6 ms a step less for it (2 %), and
the camera no less.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .timing import Clock, Parts, alternating, synchronizer

if TYPE_CHECKING:
    from torch import Tensor

    from sage_ext.environment import Policy
    from sage_ext.memory import Memory
    from sage_ext.mind import Mind

BARE, WAKE, ENCODE = "bare", "wake", "wake+encode"
KINDS = (BARE, WAKE, ENCODE)
WARM_UP = 10
"""Steps before anything is timed."""


@dataclass(frozen=True)
class Block:
    """Consecutive steps of one kind; ``timed`` ones count for the ratios, ``watched`` ones for the parts."""

    kind: str
    steps: int
    timed: bool = True
    watched: bool = False


@dataclass
class Times:
    """What was measured.

    Attributes:
        blocks: Kind -> seconds a step, one number a timed block, in the order of the rounds.
        parts: Kind -> part -> seconds a step.
        watched: Kind -> seconds a step of the watched blocks as a whole.
        reset: Seconds from the end of an episode of all worlds to the start of the next.
    """

    blocks: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    watched: dict[str, float] = field(default_factory=dict)
    reset: float = 0.0


def schedule(repeats: int, steps: int) -> list[Block]:
    """All blocks in order: warm-up, the rounds that are compared, then those of which the parts are told.

    Args:
        repeats: Rounds.
        steps: Steps of a block.
    """
    watched = [Block(kind, max(2 * steps, 20), timed=False, watched=True) for kind in (BARE, ENCODE)]
    warm_up = [Block(kind, WARM_UP, timed=False) for kind in (BARE, ENCODE)]
    return [*warm_up, *(Block(kind, steps) for kind in alternating(KINDS, repeats)), *watched]


def wake_steps(blocks: list[Block]) -> int:
    """Steps that :func:`~sage_ext.wake.wake` takes for some blocks."""
    return 1 + sum(block.steps for block in blocks if block.kind != BARE)


@contextmanager
def undressed(scene: Any) -> Iterator[None]:
    """Take what is ours off the scene for a while: the contact sensors, and that we move the camera."""
    sensors, camera = scene.sensors, scene["camera"].cfg
    kept, follows = dict(sensors), camera.update_latest_camera_pose
    for name in ("object_contacts", "skin_contacts"):
        del sensors[name]
    camera.update_latest_camera_pose = True
    try:
        yield
    finally:
        camera.update_latest_camera_pose = follows
        sensors.clear()
        sensors.update(kept)


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


class Blocks:
    """Runs a schedule from within wake: call :meth:`on_step` after each of its steps.

    Args:
        blocks: The schedule.
        bare: Takes one bare step.
        watch: Makes the stopwatches for a watched block of a kind.
        sync: See :func:`~bench.timing.synchronizer`.
        clock: Seconds.

    Attributes:
        kind: Kind of the wake steps that come next.
        times: What was measured so far.
    """

    def __init__(
        self,
        blocks: list[Block],
        bare: Callable[[int], None],
        watch: Callable[[str], Parts],
        sync: Callable[[], None] = lambda: None,
        clock: Clock = time.perf_counter,
    ) -> None:
        self.kind, self.times = WAKE, Times()
        self._todo, self._bare, self._watch, self._sync, self._clock = list(blocks), bare, watch, sync, clock
        self._now: Block | None = None
        self._left, self._start = 0, 0.0
        self._stack = ExitStack()
        self._parts: Parts | None = None

    @property
    def done(self) -> bool:
        """Whether the whole schedule was run."""
        return not self._todo and self._now is None

    def on_step(self, *_: object) -> None:
        """A step of wake is over: go on with its block, or run what comes before its next one."""
        if self._now is not None:
            self._left -= 1
            if self._left:
                return
            self._end()
        while self._todo:
            self._begin(self._todo.pop(0))
            assert self._now is not None
            if self._now.kind != BARE:
                return
            self._bare(self._now.steps)
            self._end()

    def _begin(self, block: Block) -> None:
        self._now, self._left = block, block.steps
        if block.kind != BARE:
            self.kind = block.kind
        if block.watched:
            self._parts = self._stack.enter_context(self._watch(block.kind))
        self._sync()
        self._start = self._clock()

    def _end(self) -> None:
        self._sync()
        block = self._now
        assert block is not None
        each = (self._clock() - self._start) / block.steps
        self._stack.close()
        if block.timed:
            self.times.blocks[block.kind].append(each)
        if block.watched and self._parts is not None:
            self.times.watched[block.kind] = each
            self.times.parts[block.kind] = {k: v / block.steps for k, v in self._parts.seconds.items()}
        self._now = None


class Encoding:
    """Actions of another policy; when asked to, each observation is encoded first, history and all."""

    def __init__(self, policy: Policy, encoder: Any, blocks: Blocks) -> None:
        self._policy, self._encoder, self._blocks = policy, encoder, blocks
        self._state: Tensor | None = None

    def act(self, observation: dict[str, Any]) -> Tensor:
        """See :meth:`sage_ext.environment.Policy.act`."""
        if self._blocks.kind == ENCODE:
            import torch

            with torch.no_grad():
                _, self._state = self._encoder.step(observation["policy"], self._state)
        return self._policy.act(observation)


def measure(env: Any, mind: Mind, memory: Memory, blocks: list[Block], snapshot_every: int, seed: int) -> Times:
    """Run the schedule within one wave of wake.

    Args:
        env: The environment, whose episodes last :func:`wake_steps` at least.
        mind: Its encoder encodes.
        memory: Where steps go.
        blocks: The schedule.
        snapshot_every: Steps between two snapshots.
        seed: Seed of the wave.

    Raises:
        RuntimeError: All episodes ended before the schedule did.
    """
    from sage_ext import wake as waking
    from sage_tasks.policies import make_policy

    encoder = mind.objective.encoder.eval()
    other = make_policy("random", env, seed + 1)

    def bare(steps: int) -> None:
        with undressed(env.scene):
            for _ in range(steps):
                bare_step(env, other.act({}))

    def watch(kind: str) -> Parts:
        return stopwatches(Parts(synchronizer(env.device)), env, encoder, memory, waking)

    run = Blocks(blocks, bare, watch, synchronizer(env.device))
    waking.wake(
        env,
        lambda s: Encoding(make_policy("random", env, s), encoder, run),
        memory,
        env.num_envs,
        snapshot_every,
        seed,
        on_step=run.on_step,
    )
    if not run.done:
        raise RuntimeError("all episodes ended early: try another --seed")
    run.times.reset = _reset_seconds(env, seed)
    return run.times


def stopwatches(parts: Parts, env: Any, encoder: Any, memory: Any, waking: Any) -> Parts:
    """Say which methods make up which part of a step."""
    scene, camera = env.scene, env.scene["camera"]
    parts.method("physics: write, step, read", scene, "write_data_to_sim", "update").method(
        "physics: write, step, read", env.sim, "step"
    )
    for name in ("object_contacts", "skin_contacts"):
        parts.method("contact sensors", scene[name], "update")
    parts.method("physics control", env, "_apply_action", "command")
    parts.method("camera: pose", camera, "set_world_poses").method("camera: pose", env, "camera_pose")
    parts.method("camera: RGB and depth", camera, "update").method("camera: RGB and depth", env, "look")
    parts.method("audio", env.audio, "hear", "spectrogram")
    parts.method("contacts to touch and sound", env, "_listen_and_feel")
    parts.method("proprioception, critic", env, "_proprioception", "_critic")
    parts.method("rewards, ends", env, "_get_rewards", "_get_dones")
    parts.method("snapshots", env, "snapshot")
    parts.method("memory", memory, "append").method("memory", waking, "remembered_step")
    parts.method("encoding", encoder, "step")
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
