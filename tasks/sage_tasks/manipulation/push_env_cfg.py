"""Config of ``Sage-Push``."""

from __future__ import annotations

import math

import isaaclab.sim as sim_utils
from isaaclab.assets import AssetBaseCfg, RigidObjectCfg
from isaaclab.utils import configclass
from isaaclab_tasks.utils import preset

from sage_envs.scene_parts import camera, goal_marker
from sage_envs.table import TableSceneCfg

from .manipulation_env_cfg import CLOSE_LENS, CLOSE_TILT, ManipulationEnvCfg

LINE = 0.0
"""Where the line lies that an object may not be pushed across, along the table's y axis [m]."""


def _line() -> AssetBaseCfg:
    """A stripe to be seen."""
    color = sim_utils.PreviewSurfaceCfg(diffuse_color=(0.95, 0.85, 0.10))
    return AssetBaseCfg(
        prim_path="{ENV_REGEX_NS}/line",
        spawn=sim_utils.CuboidCfg(size=(0.9, 0.01, 0.002), visual_material=color, semantic_tags=[("class", "line")]),
        init_state=AssetBaseCfg.InitialStateCfg(pos=(0.6, LINE, 0.001)),
    )


@configclass
class PushSceneCfg(TableSceneCfg):
    """The table with a line across it and a mark behind the line."""

    goal: RigidObjectCfg = goal_marker(sim_utils.CylinderCfg(radius=0.05, height=0.002))
    line: AssetBaseCfg = _line()


@configclass
class PushEnvCfg(ManipulationEnvCfg):
    """Send an object sliding across a line so that it comes to rest on a mark, as in shuffleboard."""

    # Where objects are has to be seen.
    scene: PushSceneCfg = PushSceneCfg(camera=camera(focal_length=CLOSE_LENS, far=10.0))
    camera_tilt: float = CLOSE_TILT
    # As it pushes, its fingers side by side: a hand that has not to be turned first is in place sooner.
    wrist: float = math.pi / 2
    episode_length_s: float = 6.0
    area: tuple[tuple[float, float], tuple[float, float]] = ((0.20, 0.90), (-0.33, 0.33))

    start: tuple[tuple[float, float], tuple[float, float]] = ((0.44, 0.52), (0.24, 0.30))
    """Where the object starts, along x and y [m]."""
    distance: tuple[float, float] = preset(default=(0.40, 0.52), easy=(0.34, 0.40), hard=(0.44, 0.60))
    """How far away the mark is [m]."""
    bearing: float = preset(default=0.2, easy=0.05, hard=0.3)
    """By how much the way there may turn aside from the table's y axis [rad]."""
    slickness: tuple[float, float] = preset(default=(0.3, 0.7), easy=(0.45, 0.55), hard=(0.2, 0.9))
    """Friction of everything that moves, relative to the materials' own; drawn anew at each reset."""
    goal_reach: float = preset(default=0.05, easy=0.07, hard=0.035)
    """Distance from the mark within which the object has to stop [m]."""
    at_rest: float = 0.02
    """Speed below which it has stopped [m/s]."""

    progress_reward: float = 5.0
    """Reward per metre that the object came nearer to the mark."""
    goal_reward: float = 5.0
    """Reward for stopping there."""
