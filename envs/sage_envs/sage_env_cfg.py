"""What all environments of sage-ext have in common, as a config."""

from __future__ import annotations

from dataclasses import MISSING

import gymnasium as gym
from isaaclab.envs import DirectRLEnvCfg
from isaaclab.scene import InteractiveSceneCfg
from isaaclab.sim import SimulationCfg
from isaaclab.utils import configclass

from .engines import EngineCfg
from .observations import policy_space
from .randomisation import RandomisationCfg
from .room import ROOM_HALF, WALL_THICKNESS
from .senses.noise import SensorNoiseCfg

PHYSICS_DT = 1 / 60
DECIMATION = 2


@configclass
class SageEnvCfg(DirectRLEnvCfg):
    """Base of every task's config.

    A scene has ``robot``, ``camera``, ``object_contacts`` (net forces on the loose objects) and
    ``skin_contacts`` (forces of each partner on the robot's skin).
    """

    decimation: int = DECIMATION
    episode_length_s: float = 20.0
    seed: int = 0
    sim: SimulationCfg = SimulationCfg(dt=PHYSICS_DT, render_interval=DECIMATION, physics=EngineCfg())
    scene: InteractiveSceneCfg = MISSING
    action_space: gym.Space = MISSING  # type: ignore[assignment]
    observation_space: gym.Space = policy_space(64, 64)
    # The critic's names and shapes are those of the ground truth the task reports.
    state_space: gym.Space | int = 0

    randomisation: RandomisationCfg = RandomisationCfg()
    object_sizes: tuple[float, ...] = (1.0,)
    """Sizes that loose objects can have, as factors; what ``size_scale`` can be set to. On OvPhysX each costs a body an
    object, so there is one by default."""

    camera_mount: tuple[float, float, float] = MISSING  # type: ignore[assignment]
    """Position of the camera, and of the microphone, on the robot's body [m]."""
    noise: SensorNoiseCfg | None = None
    """Imperfect sensors, for example one of :data:`sage_envs.senses.noise.NOISE`; None is perfect ones."""
    camera_tilt: float = 0.0
    """How far the camera looks down [rad]."""

    bounds: tuple[float, float, float] = (ROOM_HALF + 2 * WALL_THICKNESS, ROOM_HALF + 2 * WALL_THICKNESS, 10.0)
    """Half the extents of a world in x and y and its height; an episode ends when a body is found outside [m]."""
    faults: str = "runs/faults"
    """Folder for the states of worlds whose numbers are no longer finite."""
