"""What to do: tasks with rewards, success and scripted experts, registered for Gymnasium.

Importing this package registers the ids and starts nothing. Isaac Lab finds it through the
``isaaclab.tasks`` entry point.
"""

from __future__ import annotations

import gymnasium as gym

TASKS: dict[str, str] = {
    "Sage-Navigation": "sage_tasks.navigation.navigation_env",
}
"""Id -> module with the environment; its config lives in the module named ``<module>_cfg``."""

_CLASSES = {"Sage-Navigation": "NavigationEnv"}
_EXPERTS = {"Sage-Navigation": "sage_tasks.navigation.expert:NavigationExpert"}
_AGENTS = {"Sage-Navigation": "sage_tasks.navigation.agents.rsl_rl_ppo_cfg:NavigationPpoRunnerCfg"}
_SHARED_AGENT = "sage_tasks.agents.ppo_cfg:SagePpoRunnerCfg"

for _id, _module in TASKS.items():
    if _id not in gym.registry:
        gym.register(
            id=_id,
            entry_point="sage_tasks.make:build",
            disable_env_checker=True,
            kwargs={
                "env_entry_point": f"{_module}:{_CLASSES[_id]}",
                "env_cfg_entry_point": f"{_module}_cfg:{_CLASSES[_id]}Cfg",
                "expert_entry_point": _EXPERTS[_id],
                "rsl_rl_cfg_entry_point": _AGENTS.get(_id, _SHARED_AGENT),
            },
        )
