"""Config of ``Sage-Navigation``."""

from __future__ import annotations

import gymnasium as gym
from isaaclab.utils import configclass
from isaaclab_tasks.utils import preset

from sage_envs.room import OBSTACLES, RoomSceneCfg
from sage_envs.sage_env_cfg import SageEnvCfg


@configclass
class NavigationEnvCfg(SageEnvCfg):
    """A rover, a room, a goal post.

    The action is the speed of the left and the right wheel as a share of :attr:`wheel_speed`.
    Fields with presets differ by difficulty (:data:`sage_tasks.make.DIFFICULTIES`).
    """

    scene: RoomSceneCfg = RoomSceneCfg()
    action_space: gym.Space = gym.spaces.Box(-1.0, 1.0, (2,))
    episode_length_s: float = 20.0
    camera_mount: tuple[float, float, float] = (0.19, 0.0, 0.30)
    camera_tilt: float = 0.22

    wheel_speed: float = 10.0
    """Wheel speed of a full action [rad/s]."""
    goal_reach: float = 0.35
    """Distance at which the goal counts as reached [m]."""
    goal_distance: float = preset(default=1.08, easy=0.6, hard=2.0)
    """A new goal is at least this far from the rover, where the room has such a place [m]."""
    obstacles: int = preset(default=len(OBSTACLES), easy=2)
    """How many of the obstacles stand in the room; the others are under its floor."""
    clearance: float = preset(default=0.08, easy=0.2, hard=0.02)
    """Free space kept between things placed at a reset [m]."""
    throw_speed: float = preset(default=1.2, easy=0.0, hard=2.0)
    """Objects start in the air with up to this speed, so that an episode begins with events [m/s]."""
    throw_height: float = preset(default=0.5, easy=0.0, hard=1.0)
    """Objects start up to this far above the floor [m]."""

    progress_reward: float = 1.0
    """Reward per metre that the distance to the goal shrank."""
    goal_reward: float = 5.0
    """Reward for reaching the goal."""
    action_cost: float = 0.002
    """Cost of a full action held for one step."""
    touch_cost: float = 0.0005
    """Cost per newton on the skin."""
