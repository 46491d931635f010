"""What there is to know of a task without starting a simulator: from its registration and its config."""

from __future__ import annotations

import ast
import importlib
import inspect
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium as gym

from . import TASKS
from .make import DIFFICULTIES, ENGINES
from .policies import POLICIES


@dataclass(frozen=True)
class Description:
    """A task.

    Attributes:
        task: Its id.
        about: What it is, in a line.
        observation: Space of the senses of one world. Names and shapes of the ground truth are not in it: they are
            known once the task has started.
        action: Space of one world's actions.
        episode_length_s: Time limit [s].
        steps: The same in environment steps.
        policies: Sources of actions by name.
        agents: Libraries that it can be trained with.
        difficulties: Which of :data:`sage_tasks.make.DIFFICULTIES` it has.
        presets: Further names that change its config; engines and renderers are left out.
    """

    task: str
    about: str
    observation: gym.spaces.Dict
    action: gym.Space
    episode_length_s: float
    steps: int
    policies: tuple[str, ...]
    agents: tuple[str, ...]
    difficulties: tuple[str, ...]
    presets: tuple[str, ...]


def describe(task: str) -> Description:
    """Describe a registered task.

    Args:
        task: Id, one of :data:`sage_tasks.TASKS`.
    """
    from isaaclab_tasks.utils.hydra import collect_presets, resolve_presets

    spec = gym.spec(task)
    module, _, name = spec.kwargs["env_cfg_entry_point"].partition(":")
    cfg = getattr(importlib.import_module(module), name)()
    presets = _own_presets(collect_presets(cfg))
    cfg = resolve_presets(cfg)
    has_expert = "expert_entry_point" in spec.kwargs
    return Description(
        task=task,
        about=_about(task),
        observation=cfg.observation_space,
        action=cfg.action_space,
        episode_length_s=cfg.episode_length_s,
        steps=round(cfg.episode_length_s / (cfg.sim.dt * cfg.decimation)),
        policies=tuple(policy for policy in POLICIES if policy != "expert" or has_expert),
        agents=tuple(key.removesuffix("_cfg_entry_point") for key in spec.kwargs if _is_agent(key)),
        difficulties=tuple(name for name in DIFFICULTIES if name == "default" or name in presets),
        presets=tuple(name for name in presets if name not in DIFFICULTIES),
    )


def _is_agent(key: str) -> bool:
    return key.endswith("_cfg_entry_point") and key != "env_cfg_entry_point"


def _own_presets(options: dict[str, dict[str, Any]]) -> list[str]:
    """Names of presets, in the order they are met, without those that choose an engine or a renderer."""
    elsewhere = {"default", *ENGINES}
    for path, names in options.items():
        if path == "sim.physics" or path.endswith("renderer_cfg"):
            elsewhere |= set(names)
    return list(dict.fromkeys(name for names in options.values() for name in names if name not in elsewhere))


def _about(task: str) -> str:
    """The first line of the docs: of the module where they begin with the task's id, else of the environment's class.

    The source is read, not run, for an environment's module loads the simulator.
    """
    module, _, name = gym.spec(task).kwargs["env_entry_point"].partition(":")
    found = find_spec(module)
    tree = ast.parse(Path(str(found.origin)).read_text(encoding="utf-8") if found else "")
    said, begins = ast.get_docstring(tree) or "", f"``{task}``: "
    if not said.startswith(begins):
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
        said = (ast.get_docstring(classes[0]) or "") if classes else ""
    return inspect.cleandoc(said).partition("\n\n")[0].replace("\n", " ").removeprefix(begins).rstrip(".")


def describe_all() -> list[Description]:
    """Describe every registered task."""
    return [describe(task) for task in TASKS]
