"""Config of ``Sage-Lift``."""

from __future__ import annotations

import math

from isaaclab.utils import configclass
from isaaclab_tasks.utils import preset

from sage_envs.scene_parts import camera
from sage_envs.table import TableSceneCfg

from .manipulation_env_cfg import CLOSE_LENS, CLOSE_TILT, ManipulationEnvCfg


@configclass
class LiftEnvCfg(ManipulationEnvCfg):
    """Grasp the one of several objects that is asked for, and lift it."""

    # Where objects are has to be seen.
    scene: TableSceneCfg = TableSceneCfg(camera=camera(focal_length=CLOSE_LENS, far=10.0))
    camera_tilt: float = CLOSE_TILT
    # The fingers come down beside the object in the picture; one before the other, with the palm, they would hide it.
    wrist: float = -math.pi / 2
    episode_length_s: float = 8.0

    lift_height: float = preset(default=0.10, easy=0.05, hard=0.20)
    """How far above the table the object's underside has to be held [m]."""
    hold_s: float = preset(default=0.5, easy=0.2, hard=1.0)
    """For how long [s]."""

    approach_reward: float = 2.0
    """Reward per metre that the hand came nearer to the object."""
    lift_reward: float = 10.0
    """Reward per metre that the object rose, up to the height asked for."""
    goal_reward: float = 5.0
    """Reward for holding it there long enough."""
