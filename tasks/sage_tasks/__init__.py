"""What to do: tasks with rewards, success and scripted experts, registered for Gymnasium.

Importing this package registers the ids and starts nothing. Isaac Lab finds it through the
``isaaclab.tasks`` entry point.
"""

from __future__ import annotations

from typing import NamedTuple

import gymnasium as gym


class Task(NamedTuple):
    """Where the parts of a task are, each as ``module:Class`` within this package.

    Attributes:
        env: Its environment; the config is ``ClassCfg`` in the module named ``<module>_cfg``.
        expert: Its scripted expert.
        agent: How rsl_rl trains it.
    """

    env: str
    expert: str
    agent: str = "agents.ppo_cfg:SagePpoRunnerCfg"


TASKS: dict[str, Task] = {
    "Sage-Navigation": Task(
        "navigation.navigation_env:NavigationEnv",
        "navigation.expert:NavigationExpert",
        "navigation.agents.rsl_rl_ppo_cfg:NavigationPpoRunnerCfg",
    ),
    "Sage-Navigation-Push": Task("navigation.push_env:PushEnv", "navigation.push_expert:PushExpert"),
    "Sage-Reach": Task("manipulation.reach_env:ReachEnv", "manipulation.reach_expert:ReachExpert"),
    "Sage-Lift": Task("manipulation.lift_env:LiftEnv", "manipulation.lift_expert:LiftExpert"),
    "Sage-Push": Task("manipulation.push_env:PushEnv", "manipulation.push_expert:PushExpert"),
    "Sage-Social": Task("social.social_env:SocialEnv", "social.expert:SocialExpert"),
    "Sage-Social-Follow": Task("social.follow_env:FollowEnv", "social.expert:FollowExpert"),
}
"""Every task by its id."""


def register() -> None:
    """Register the tasks that are not; importing this package does."""
    for name, task in TASKS.items():
        if name not in gym.registry:
            module, _, cls = task.env.partition(":")
            gym.register(
                id=name,
                entry_point=f"{__name__}.make:build",
                disable_env_checker=True,
                kwargs={
                    "env_entry_point": f"{__name__}.{task.env}",
                    "env_cfg_entry_point": f"{__name__}.{module}_cfg:{cls}Cfg",
                    "expert_entry_point": f"{__name__}.{task.expert}",
                    "rsl_rl_cfg_entry_point": f"{__name__}.{task.agent}",
                },
            )


def unregister() -> None:
    """Take the tasks back from Gymnasium."""
    for name in TASKS:
        gym.registry.pop(name, None)


register()
