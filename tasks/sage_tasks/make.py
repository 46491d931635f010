"""Make an environment by its id, with its presets resolved: :func:`make` for scripts and the command line.

``gymnasium.make(ID, **settings)`` and ``gymnasium.make(ID, cfg=cfg)`` do the same; see :func:`build`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import TASKS

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv
    from sage_envs.sage_env_cfg import SageEnvCfg

ENGINES = ("ovphysx", "newton_mjwarp", "isaacsim_physx")
DIFFICULTIES = ("easy", "default", "hard")
"""Names of Isaac Lab presets in the tasks' configs; a field without one of a name keeps its default."""

NOISES = ("none", "mild", "harsh")
"""Names of :data:`sage_envs.senses.noise.NOISE`; that module needs the simulator, this one does not."""


def make(task: str, **settings: Any) -> SageEnv:
    """Start a simulator with the worlds of a task; one a process.

    Args:
        task: Id, one of :data:`sage_tasks.TASKS`.
        **settings: See :func:`load_cfg`.

    Returns:
        The environment, not yet reset.

    Raises:
        ValueError: Unknown task, engine or difficulty, a task without presets of that difficulty, or a range of
            ``randomisation`` that the engine cannot follow.
    """
    if task not in TASKS:
        near = difflib.get_close_matches(task, TASKS, n=1, cutoff=0.3)
        raise ValueError(f"task={task}: unknown task; use {near[0] if near else ', '.join(TASKS)}")
    import gymnasium as gym

    env: SageEnv = gym.make(task, **settings).unwrapped  # type: ignore[assignment]
    return env


def load_cfg(
    entry_point: str,
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
    object_sizes: Sequence[float] = (1.0,),
) -> SageEnvCfg:
    """A task's config with its presets resolved.

    Args:
        entry_point: Where its class is, as ``module:Class``.
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
        object_sizes: Sizes that loose objects can have, as factors; see :class:`sage_envs.sage_env_cfg.SageEnvCfg`.

    Raises:
        ValueError: Unknown engine, difficulty or noise, or a task without presets of that difficulty.
    """
    if physics not in ENGINES:
        raise ValueError(f"physics={physics}: unknown engine; use one of {', '.join(ENGINES)}")
    for key, value, known in (("difficulty", difficulty, DIFFICULTIES), ("noise", noise, NOISES)):
        if value not in known:
            near = difflib.get_close_matches(value, known, n=1)
            raise ValueError(f"{key}={value}: unknown; use {near[0] if near else ', '.join(known)}")
    from sage_envs.launch import default_device, prepare_process

    prepare_process()
    from isaaclab_tasks.utils.hydra import collect_presets, resolve_presets

    cfg = _at(entry_point)()
    chosen = [] if difficulty == "default" else [difficulty]
    if chosen and not any(difficulty in options for options in collect_presets(cfg).values()):
        raise ValueError(f"difficulty={difficulty}: this task has no preset of that name; use default")
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
    cfg.object_sizes = tuple(object_sizes)
    if segmentation:
        from sage_envs.senses.segmentation import KINDS

        cfg.scene.camera.data_types = [*cfg.scene.camera.data_types, *KINDS]
    if episode_length_s is not None:
        cfg.episode_length_s = episode_length_s
    return cfg


def build(
    cfg: SageEnvCfg | None = None,
    render_mode: str | None = None,
    *,
    env_entry_point: str,
    env_cfg_entry_point: str,
    **rest: Any,
) -> SageEnv:
    """What Gymnasium calls to make an environment of a registered task.

    Args:
        cfg: The task's config, as Isaac Lab's commands give it; the default presets are taken where none were chosen.
        render_mode: See :class:`isaaclab.envs.DirectRLEnv`.
        env_entry_point: Class of the environment.
        env_cfg_entry_point: Class of its config.
        **rest: Other entry points of the task; without ``cfg`` also settings, see :func:`load_cfg`.

    Raises:
        ValueError: Settings beside a config, or what :func:`load_cfg` refuses.
    """
    settings = {key: value for key, value in rest.items() if not key.endswith("_entry_point")}
    if cfg is None:
        cfg = load_cfg(env_cfg_entry_point, **settings)
    elif settings:
        key, value = next(iter(settings.items()))
        raise ValueError(f"{key}={value}: cannot stand beside cfg; set it in the config")
    else:
        from isaaclab_tasks.utils.hydra import resolve_presets

        cfg = resolve_presets(cfg)
    env: SageEnv = _at(env_entry_point)(cfg, render_mode)
    return env


def _at(entry_point: str) -> Any:
    module, _, name = entry_point.partition(":")
    return getattr(importlib.import_module(module), name)
