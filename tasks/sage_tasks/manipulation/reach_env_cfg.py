"""Config of ``Sage-Reach``."""

from __future__ import annotations

import isaaclab.sim as sim_utils
from isaaclab.utils import configclass
from isaaclab_tasks.utils import preset

from sage_envs.scene_parts import goal_marker
from sage_envs.table import TableSceneCfg

from .manipulation_env_cfg import ManipulationEnvCfg


@configclass
class ReachEnvCfg(ManipulationEnvCfg):
    """Bring the point between the finger pads to a ball that floats above the table."""

    scene: TableSceneCfg = TableSceneCfg(goal=goal_marker(sim_utils.SphereCfg(radius=0.02)))
    episode_length_s: float = 6.0

    goal_low: tuple[float, float, float] = (0.35, -0.30, 0.10)
    """Lower corner of the box that goals are drawn from [m]."""
    goal_high: tuple[float, float, float] = (0.62, 0.30, 0.45)
    """Its upper corner [m]."""
    goal_reach: float = preset(default=0.02, easy=0.04, hard=0.01)
    """Distance at which the goal counts as reached [m]."""

    progress_reward: float = 5.0
    """Reward per metre that the distance to the goal shrank."""
    goal_reward: float = 2.0
    """Reward for reaching the goal."""
