"""What to do: tasks with rewards, success and scripted experts, registered for Gymnasium.

Importing this package registers the ids and starts nothing. Isaac Lab finds it through the
``isaaclab.tasks`` entry point.
"""

from __future__ import annotations

from typing import NamedTuple

import gymnasium as gym


class Task(NamedTuple):
    """Where the parts of a task are, as ``module:Class`` within this package.

    Attributes:
        env: Its environment; the config is ``ClassCfg`` in the module named ``<module>_cfg``.
        expert: Its scripted expert.
        agent: How rsl_rl trains it: a class of :mod:`sage_tasks.agents.ppo_cfg`.
        disturbance: How much its demonstrations are disturbed where nothing else is said, as a share of the largest
            action: as much as made the best copies. A hand that has to be exact bears less than a rover.
    """

    env: str
    expert: str
    agent: str
    disturbance: float


TASKS: dict[str, Task] = {
    "Sage-Navigation": Task(
        "navigation.navigation_env:NavigationEnv", "navigation.expert:NavigationExpert", "NavigationPpoRunnerCfg", 0.4
    ),
    "Sage-Navigation-Push": Task(
        "navigation.push_env:PushEnv", "navigation.push_expert:PushExpert", "NavigationPushPpoRunnerCfg", 0.4
    ),
    "Sage-Reach": Task(
        "manipulation.reach_env:ReachEnv", "manipulation.reach_expert:ReachExpert", "ReachPpoRunnerCfg", 0.2
    ),
    "Sage-Lift": Task("manipulation.lift_env:LiftEnv", "manipulation.lift_expert:LiftExpert", "LiftPpoRunnerCfg", 0.1),
    "Sage-Push": Task("manipulation.push_env:PushEnv", "manipulation.push_expert:PushExpert", "PushPpoRunnerCfg", 0.1),
    "Sage-Social": Task("social.social_env:SocialEnv", "social.expert:SocialExpert", "SocialPpoRunnerCfg", 0.5),
    "Sage-Social-Follow": Task(
        "social.follow_env:FollowEnv", "social.expert:FollowExpert", "SocialFollowPpoRunnerCfg", 0.5
    ),
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
                    "rsl_rl_cfg_entry_point": f"{__name__}.agents.ppo_cfg:{task.agent}",
                },
            )


def unregister() -> None:
    """Take the tasks back from Gymnasium."""
    for name in TASKS:
        gym.registry.pop(name, None)


register()
