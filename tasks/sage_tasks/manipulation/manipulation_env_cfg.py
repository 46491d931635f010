"""What the manipulation tasks' configs have in common."""

from __future__ import annotations

import math

import gymnasium as gym
from isaaclab.utils import configclass
from isaaclab_tasks.utils import preset

from sage_envs.sage_env_cfg import SageEnvCfg
from sage_envs.table import TableSceneCfg

CLOSE_LENS, CLOSE_TILT = 32.0, math.radians(30.0)
"""Focal length and tilt of a camera whose picture the objects fill: a pixel is 1.2 cm there."""


@configclass
class ManipulationEnvCfg(SageEnvCfg):
    """A robot arm at a table with loose objects.

    With ``control="hand"`` an action is the motion of the point between the finger pads along and about the axes of
    the table, as shares of :attr:`hand_speed` and :attr:`hand_turn`, then the gripper from closed to open. With
    ``control="joints"`` it is the motion of the seven joints as shares of :attr:`joint_speed`, then the gripper. Fields
    with presets differ by difficulty (:data:`sage_tasks.make.DIFFICULTIES`).
    """

    scene: TableSceneCfg = TableSceneCfg()
    # Made anew for the control chosen.
    action_space: gym.Space = gym.spaces.Box(-1.0, 1.0, (7,))
    camera_mount: tuple[float, float, float] = (0.72, -0.90, 0.58)
    """Where the camera, and the microphones, stand on the table [m]."""
    camera_yaw: float = math.radians(99.0)
    """Which way they look, from the table's x axis [rad]."""
    camera_tilt: float = math.radians(29.0)

    control: str = "hand"
    """``hand``: differential inverse kinematics; ``joints``: joint targets."""
    hand_speed: float = 1.2
    """Speed of a full action [m/s]."""
    hand_turn: float = 3.0
    """Turning rate of a full action [rad/s]."""
    joint_speed: float = 2.0
    """Speed of a joint under a full action, and the most that any control asks of one [rad/s]."""
    wrist: float = 0.0
    """How far the last joint is turned from the ready pose at the start [rad]."""
    joint_noise: float = preset(default=0.1, easy=0.03, hard=0.2)
    """Joints start up to this far from the ready pose [rad]."""
    area: tuple[tuple[float, float], tuple[float, float]] = ((0.28, 0.70), (-0.33, 0.33))
    """Where on the table objects are put, along x and y [m]."""
    clearance: float = preset(default=0.05, easy=0.07, hard=0.035)
    """Free space kept between objects placed at a reset, where there is room [m]."""
    action_cost: float = 0.002
    """Cost of a full action held for one step."""
