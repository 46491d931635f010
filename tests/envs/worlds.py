"""Worlds in a state that is known: what the simulator tests arrange before they measure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

FRICTION = ("static_friction_scale", "dynamic_friction_scale")
MAKE = {"task": "Sage-Navigation", "seed": 0, "device": "cpu"}


def dark(worlds: int) -> Callable[..., tuple[Tensor, Tensor]]:
    """Stands in for ``env.look`` where nobody needs pictures, which take most of the time."""
    black = torch.zeros(worlds, 64, 64, 3, dtype=torch.uint8), torch.zeros(worlds, 64, 64, 1)

    def look(meanwhile: Callable[[], None] = lambda: None) -> tuple[Tensor, Tensor]:
        meanwhile()
        return black

    return look


def arm(task: str, worlds: int, seed: int = 5) -> Iterator[SageEnv]:
    """What a fixture of a manipulation task yields: an environment in the dark, whose ``sight`` looks all the same."""
    from sage_tasks.make import make

    env = make(task, num_envs=worlds, seed=seed, device="cpu")
    env.sight, env.look = env.look, dark(worlds)
    yield env
    env.close()


def assert_stock_pictures(env: SageEnv, look: Callable[[], tuple[Tensor, Tensor]] | None = None) -> None:
    """Our pictures are Isaac Lab's, number for number, and our own way of casting rays was taken.

    Args:
        env: The environment.
        look: Its ``look``, where another stands in for that.
    """
    from unittest.mock import patch

    from sage_envs.tiles import Tiles

    look, camera = look or env.look, env.scene["camera"]

    def outputs() -> dict[str, Tensor]:
        look()
        return {name: proxy.torch.clone() for name, proxy in camera.data.output.items()}

    with patch.object(Tiles, "cast", autospec=True, side_effect=Tiles.cast) as cast:
        ours = outputs()
    assert cast.called
    with patch.object(camera._renderer, "stock", True):
        stock = outputs()
    assert ours.keys() == stock.keys()
    assert ours["rgb"].float().std() > 10 and ours["depth"].std() > 0.05, "there is something to see"
    for name, picture in ours.items():
        assert torch.equal(picture, stock[name]), name


class Stage:
    """A snapshot to be edited by name and then put in force.

    It begins calm: the rover at the origin, facing +x; the loose objects at rest along the wall at
    y = -1.6 and the obstacles along the wall at y = 1.6, where the rover does not see them; nothing
    moves or sounds, and gravity and friction are as the task has them.
    """

    def __init__(self, env: SageEnv) -> None:
        from sage_envs.room import OBJECTS, OBSTACLES
        from sage_envs.snapshot import layout

        self.env, self.where = env, layout(env)
        env.reset(seed=0)
        self.rows = env.snapshot()
        self._silence = self.rows[:, self.where["senses.audio"]].clone()
        for name in ("robot.velocity", "robot.joint_position", "robot.joint_velocity", "objects.velocity"):
            self.set(name, 0.0)
        for name in ("last_action", "senses.force", "senses.velocity", "senses.imu_velocity", "senses.joint_speed"):
            self.set(name, 0.0)
        self.robot((0.0, 0.0, 0.0))
        for i, thing in enumerate(OBJECTS):
            self.object(i, (0.5 * i - 1.6, -1.6, thing.height / 2))
        for i in range(len(OBSTACLES)):
            self.obstacle(i, (0.7 * i - 1.5, 1.6))
        self.set("task.goal", torch.tensor([-1.8, 0.0]))

    def set(self, name: str, value: Tensor | float) -> None:
        """Set a part of the snapshot, alike or row by row; ``friction_scale`` is all friction the engine has."""
        parts = [part for part in FRICTION if part in self.where] if name == "friction_scale" else [name]
        for part in parts:
            self.rows[:, self.where[part]] = value

    def _put(self, name: str, index: int, width: int, values: Sequence[float], worlds: slice = slice(None)) -> None:
        start = self.where[name].start + width * index
        self.rows[worlds, start : start + len(values)] = torch.tensor(values)

    def robot(self, position: Sequence[float], yaw: float = 0.0, velocity: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        turn = (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
        self._put("robot.pose", 0, 7, (*position, *turn))
        self._put("robot.velocity", 0, 6, velocity)
        self._put("senses.imu_velocity", 0, 6, velocity)

    def object(self, index: int, position: Sequence[float], velocity: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        self._put("objects.pose", index, 7, (*position, 0.0, 0.0, 0.0, 1.0))
        self._put("objects.velocity", index, 6, velocity)
        self._put("senses.velocity", index, 6, velocity)
        self._put("senses.force", index, 1, (0.0,))

    def obstacle(self, index: int, place: Sequence[float], world: int | None = None) -> None:
        worlds = slice(None) if world is None else slice(world, world + 1)
        self._put("task.obstacles", index, 7, (*place, 0.3, 0.0, 0.0, 0.0, 1.0), worlds)

    def begin(self) -> None:
        """Put it in force in all worlds."""
        self.env.restore(self.rows)

    def settle(self) -> None:
        """Let everything come to rest in silence; where it rests then is the stage from here on."""
        self.begin()
        live(self.env, 0.5)
        self.env.observe()
        self.rows = self.env.snapshot()
        self.set("senses.audio", self._silence)


def object_positions(env: SageEnv) -> Tensor:
    """Positions of the loose objects in their worlds' frames (N, B, 3) [m]."""
    return env._critic()["object_pose"][..., :3]


def object_velocities(env: SageEnv) -> Tensor:
    """Velocities of the loose objects (N, B, 3) [m/s]."""
    return env._critic()["object_velocity"][..., :3]


def live(env: SageEnv, seconds: float) -> None:
    """Step physics under the action in force."""
    env.advance(round(seconds / env.physics_dt))


def slide(stage: Stage, scale: Tensor, seconds: float = 0.2) -> tuple[Tensor, Tensor]:
    """Let boxes and the cylinder slide over the floor.

    Args:
        stage: The stage to do it on.
        scale: Scale of friction in each world (N,).
        seconds: Time over which the deceleration is taken.

    Returns:
        Decelerations and those that mu * g gives, each (N, 3) [m/s^2].
    """
    from sage_envs.materials import MATERIALS
    from sage_envs.room import OBJECTS

    sliders = [i for i, thing in enumerate(OBJECTS) if thing.kind != "ball"]
    for i in sliders:
        stage.object(i, (-1.2, 0.8 * i - 1.5, OBJECTS[i].height / 2), (1.5, 0.0, 0.0))
    for i, thing in enumerate(OBJECTS):
        if thing.kind == "ball":
            stage.object(i, (1.6, -1.6 + 0.6 * i, thing.height / 2))
    stage.robot((1.5, -0.3, 0.0))
    stage.set("friction_scale", scale.unsqueeze(1))
    stage.begin()
    env = stage.env
    live(env, 0.05)
    before = object_velocities(env)[:, sliders, 0]
    live(env, seconds)
    measured = (before - object_velocities(env)[:, sliders, 0]) / seconds
    mu = torch.tensor([MATERIALS[OBJECTS[i].material].dynamic_friction for i in sliders])
    return measured, 9.81 * mu * scale.unsqueeze(1)


def fall(stage: Stage, gravity: Tensor, t: float = 0.5) -> tuple[Tensor, Tensor]:
    """Let all objects fall from rest.

    Args:
        stage: The stage to do it on.
        gravity: Vertical gravity of each world (N,) [m/s^2].
        t: How long [s].

    Returns:
        Drop over that of theory, and velocity over that of theory, each (N, B).
    """
    from sage_envs.room import OBJECTS

    for i in range(len(OBJECTS)):
        stage.object(i, (0.6 * i - 1.2, -1.2, 4.0))
    stage.set("gravity", torch.nn.functional.pad(gravity.unsqueeze(1), (2, 0)))
    stage.begin()
    live(stage.env, t)
    drop = object_positions(stage.env)[..., 2] - 4.0
    return drop / (0.5 * gravity.unsqueeze(1) * t * t), object_velocities(stage.env)[..., 2] / (
        gravity.unsqueeze(1) * t
    )


def scene_gaps(env: SageEnv, assets: Sequence[str] = ()) -> dict[str, float]:
    """How far each body is from where a viewer that knows only the ground truth puts it.

    Args:
        env: The environment.
        assets: Its attributes that hold further bodies beside the robot and the loose objects.

    Returns:
        Body -> the larger of the distance [m] and of the sine of half the angle, in the last world.
    """
    from sage_ext.live.scene import Scene

    scene = Scene(env.scene_description())
    truth = env.observe(())["critic"]
    drawn = scene.poses({name: value[-1].cpu().numpy() for name, value in truth.items()})
    gaps = {}
    for asset in (env.robot, env.loose, *(getattr(env, name) for name in assets)):
        asset.update(env.physics_dt)
        poses = asset.data.body_link_pose_w.torch[-1].clone()
        poses[:, :3] -= env.scene.env_origins[-1]
        for name, pose in zip(asset.body_names, poses.double(), strict=True):
            prim = {"goal": "obstacle_goal"}.get(name, name)
            where = torch.from_numpy(drawn[prim])
            apart = 1.0 - float((where[3:] * pose[3:]).sum()) ** 2
            gaps[name] = max(float((where[:3] - pose[:3]).norm()), max(apart, 0.0) ** 0.5)
    return gaps
