"""Make an environment by its id, with its presets resolved: the one way in for scripts and the CLI."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import TASKS

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

ENGINES = ("ovphysx", "newton_mjwarp", "isaacsim_physx")
DIFFICULTIES = ("easy", "default", "hard")
"""Names of Isaac Lab presets in the tasks' configs; a field without one of a name keeps its default."""

NOISES = ("none", "mild", "harsh")
"""Names of :data:`sage_envs.senses.noise.NOISE`; that module needs the simulator, this one does not."""


def make(
    task: str,
    num_envs: int = 16,
    seed: int = 0,
    physics: str = "ovphysx",
    device: str | None = None,
    resolution: int = 64,
    episode_length_s: float | None = None,
    difficulty: str = "default",
    segmentation: bool = False,
    noise: str = "none",
    randomisation: Mapping[str, Any] | None = None,
) -> SageEnv:
    """Start a simulator with the worlds of a task; one a process.

    Args:
        task: Id, one of :data:`sage_tasks.TASKS`.
        num_envs: Parallel worlds.
        seed: Seed of everything that resets draw from.
        physics: Engine, one of :data:`ENGINES`.
        device: ``cpu`` or ``cuda:0``; CUDA where there is one when None.
        resolution: Rows and columns of the camera.
        episode_length_s: Time limit of an episode [s]; the task's own when None.
        difficulty: One of :data:`DIFFICULTIES`.
        segmentation: Whether ``critic`` also tells class and instance of each pixel.
        noise: How imperfect the sensors are, one of :data:`NOISES`.
        randomisation: Fields of :class:`sage_envs.randomisation.RandomisationCfg`; nothing is drawn when None.

    Returns:
        The environment, not yet reset.

    Raises:
        ValueError: Unknown task, engine or difficulty, a task without presets of that difficulty, or a range of
            ``randomisation`` that the engine cannot follow.
    """
    if task not in TASKS:
        near = difflib.get_close_matches(task, TASKS, n=1, cutoff=0.3)
        raise ValueError(f"task={task}: unknown task; use {near[0] if near else ', '.join(TASKS)}")
    if physics not in ENGINES:
        raise ValueError(f"physics={physics}: unknown engine; use one of {', '.join(ENGINES)}")
    for key, value, known in (("difficulty", difficulty, DIFFICULTIES), ("noise", noise, NOISES)):
        if value not in known:
            near = difflib.get_close_matches(value, known, n=1)
            raise ValueError(f"{key}={value}: unknown; use {near[0] if near else ', '.join(known)}")
    from sage_envs.launch import default_device, prepare_process

    prepare_process()
    import gymnasium as gym
    from isaaclab_tasks.utils.hydra import collect_presets, resolve_presets
    from isaaclab_tasks.utils.parse_cfg import load_cfg_from_registry

    cfg = load_cfg_from_registry(task, "env_cfg_entry_point")
    chosen = [] if difficulty == "default" else [difficulty]
    if chosen and not any(difficulty in options for options in collect_presets(cfg).values()):
        raise ValueError(f"difficulty={difficulty}: {task} has no preset of that name; use default")
    cfg = resolve_presets(cfg, (physics, *chosen))
    cfg.scene.num_envs = num_envs
    cfg.seed = seed
    cfg.sim.device = device or default_device()
    cfg.scene.camera.height = cfg.scene.camera.width = resolution
    if noise != "none":
        from sage_envs.senses.noise import NOISE

        cfg.noise = NOISE[noise]
    if randomisation is not None:
        from sage_envs.randomisation import RandomisationCfg

        cfg.randomisation = RandomisationCfg(**randomisation)
    if segmentation:
        from sage_envs.senses.segmentation import KINDS

        cfg.scene.camera.data_types = [*cfg.scene.camera.data_types, *KINDS]
    if episode_length_s is not None:
        cfg.episode_length_s = episode_length_s
    env: SageEnv = gym.make(task, cfg=cfg).unwrapped  # type: ignore[assignment]
    return env
