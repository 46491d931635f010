"""Config of ``Sage-Social``."""

from __future__ import annotations

from isaaclab.utils import configclass
from isaaclab_tasks.utils import preset

from sage_envs.crowd import DESIRED_SPEED, DESIRED_SPEED_SPREAD
from sage_envs.room import WALL_THICKNESS
from sage_envs.social_room import PILLARS, SOCIAL_ROOM_HALF, SocialRoomSceneCfg

from ..navigation.navigation_env_cfg import NavigationEnvCfg


@configclass
class SocialEnvCfg(NavigationEnvCfg):
    """A rover, a room where people walk, a goal post. How many people there are is the scene's."""

    scene: SocialRoomSceneCfg = SocialRoomSceneCfg()
    bounds: tuple[float, float, float] = (*(SOCIAL_ROOM_HALF + 2 * WALL_THICKNESS,) * 2, 10.0)
    # People are taller than what stands about in the other room.
    camera_tilt: float = 0.0

    obstacles: int = len(PILLARS)
    """How many of the pillars stand in the room."""
    goal_distance: float = preset(default=3.0, easy=2.0, hard=4.0)
    """A new goal is at least this far from the rover, where the room has such a place [m]."""
    clearance: float = 0.08
    """Free space kept between things placed at a reset [m]."""
    throw_speed: float = 0.0
    """Objects start at rest [m/s]."""
    throw_height: float = 0.0
    """Objects start on the floor [m]."""

    walking_speed: float = preset(default=DESIRED_SPEED, easy=0.8)
    """Mean of the speeds at which people like to walk [m/s]."""
    walking_speed_spread: float = DESIRED_SPEED_SPREAD
    """Their standard deviation [m/s]."""
    start_distance: float = 1.2
    """People start at least this far from the rover's centre [m]."""

    collision_cost: float = 5.0
    """Cost of touching a person, which ends the episode."""
    intrusion_cost: float = 0.5
    """Cost of a second nearer to a person than :data:`sage_tasks.social.social_env.INTIMATE`."""
