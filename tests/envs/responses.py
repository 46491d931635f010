"""What bodies do when a knob is turned: experiments whose outcome theory tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .worlds import Stage, live, object_positions, object_velocities

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

BALL, BOX = 1, 0


def rebound(stage: Stage, scale: Tensor, height: float = 1.0) -> Tensor:
    """Drop all objects and see how high they come back.

    Args:
        stage: The stage to do it on.
        scale: Scale of restitution in each world (N,).
        height: Fall of their lowest points [m].

    Returns:
        Height of the first rebound over that of the fall (N, B): the square of the restitution.
    """
    from sage_envs.room import OBJECTS

    half = torch.tensor([thing.height / 2 for thing in OBJECTS])
    for i, thing in enumerate(OBJECTS):
        stage.object(i, (0.6 * i - 1.2, -1.2, height + thing.height / 2))
    stage.begin()
    live(stage.env, 0.2)
    stage.env.physics.set("restitution_scale", scale)
    heights = []
    for _ in range(80):
        live(stage.env, 1 / 60)
        heights.append(object_positions(stage.env)[..., 2] - half)
    path = torch.stack(heights)
    down = (path < 0.02).float().argmax(dim=0)
    after = torch.arange(len(path)).view(-1, 1, 1) >= down
    return torch.where(after, path, 0.0).amax(dim=0) / height


def exchange(stage: Stage, scale: Tensor) -> Tensor:
    """Throw the ball at the rover where nothing has weight, and weigh it by what each then does.

    Args:
        stage: The stage to do it on.
        scale: Scale of the objects' masses in each world (N,).

    Returns:
        Mass of the ball by conservation of momentum (N,) [kg].
    """
    env = stage.env
    stage.robot((0.5, 0.0, 2.0))
    stage.object(BALL, (-0.3, 0.0, 2.08), (2.0, 0.0, 0.0))
    stage.set("gravity", 0.0)
    stage.begin()
    live(env, 0.05)
    env.physics.set("mass_scale", scale)
    before, thrown = _momentum(env), object_velocities(env)[:, BALL, 0]
    live(env, 0.45)
    return (_momentum(env) - before) / (thrown - object_velocities(env)[:, BALL, 0])


def _momentum(env: SageEnv) -> Tensor:
    mass = env.robot.data.body_mass.torch
    return (mass * env.robot.data.body_com_vel_w.torch[..., 0]).sum(dim=1)


def push(stage: Stage, scale: Tensor, force: float = 4.0, torque: float = 0.02) -> tuple[Tensor, Tensor]:
    """Push and turn the box alike in all worlds while it falls.

    Args:
        stage: The stage to do it on.
        scale: Scale of the objects' masses in each world (N,).
        force: Sideways [N].
        torque: About the vertical [N m].

    Returns:
        Its acceleration [m/s^2] and angular acceleration [rad/s^2], each (N,).
    """
    env, seconds = stage.env, 0.2
    stage.object(BOX, (-1.0, 0.0, 3.0))
    stage.begin()
    live(env, 0.05)
    env.physics.set("mass_scale", scale)
    forces = torch.tensor([force, 0.0, 0.0]).expand(env.num_envs, 1, 3).contiguous()
    torques = torch.tensor([0.0, 0.0, torque]).expand(env.num_envs, 1, 3).contiguous()
    pushed = env.loose.permanent_wrench_composer
    pushed.set_forces_and_torques_index(forces=forces, torques=torques, body_ids=[BOX], is_global=True)
    before = env._critic()["object_velocity"][:, BOX]
    live(env, seconds)
    change = (env._critic()["object_velocity"][:, BOX] - before) / seconds
    pushed.reset()
    return change[:, 0], change[:, 5]


def slope(stage: Stage, static: Tensor, dynamic: Tensor, step: float = 0.01) -> Tensor:
    """Tilt gravity, little by little, until the box slides.

    Args:
        stage: The stage to do it on.
        static: Scale of static friction in each world (N,).
        dynamic: Scale of dynamic friction in each world (N,).
        step: How much the slope grows at a time.

    Returns:
        The slope at which it slid (N,), a tangent: the coefficient of static friction.
    """
    env = stage.env
    stage.object(BOX, (-1.2, -0.5, 0.13))
    # Downhill of it, where what rolls does not hit it.
    for other in range(1, 5):
        stage.object(other, (1.7, 0.7 * other - 1.8, 0.13))
    stage.robot((-1.2, 1.2, 0.0))
    stage.begin()
    live(env, 0.2)
    env.physics.put({"static_friction_scale": static, "dynamic_friction_scale": dynamic})
    slid = torch.zeros(env.num_envs)
    for tangent in torch.arange(step, 0.9, step).tolist():
        cos = (1.0 + tangent**2) ** -0.5
        env.physics.set_gravity([9.81 * tangent * cos, 0.0, -9.81 * cos])
        live(env, 1 / 30)
        moves = object_velocities(env)[:, BOX, 0] > 0.02
        slid = torch.where((slid == 0) & moves, tangent, slid)
    return slid


def launch(stage: Stage, scale: Tensor, seconds: float = 0.2) -> Tensor:
    """Drive off at full speed.

    Args:
        stage: The stage to do it on.
        scale: Scale of the drives' strength in each world (N,).
        seconds: How long.

    Returns:
        Speed of the rover (N,) [m/s].
    """
    stage.begin()
    live(stage.env, 0.1)
    stage.env.physics.set("strength_scale", scale)
    stage.env.command(torch.ones(stage.env.num_envs, 2))
    live(stage.env, seconds)
    return stage.env._critic()["robot_velocity"][:, 0]


def launched(scale: Tensor, seconds: float = 0.2) -> Tensor:
    """What theory says of :func:`launch`: a velocity drive against the inertia of body and wheels."""
    radius, damping, wheel = 0.08, 2.0, 0.5
    inertia = 6.0 + 2 * wheel + 2 * (0.5 * wheel)
    lag = inertia * radius**2 / (2 * damping * scale)
    return 10.0 * radius * (1.0 - torch.exp(-seconds / lag))


def first_step(stage: Stage) -> tuple[Tensor, Tensor]:
    """Let all objects fall for one physics step, then for one environment step.

    Returns:
        Downward speeds after each (N, B) [m/s].
    """
    env = stage.env
    for i in range(5):
        stage.object(i, (0.6 * i - 1.2, -1.2, 3.0))
    stage.begin()
    env.advance(1)
    one = -object_velocities(env)[..., 2]
    stage.begin()
    env.advance(env.cfg.decimation)
    return one, -object_velocities(env)[..., 2]
