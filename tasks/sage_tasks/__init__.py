"""What to do: tasks with rewards, success and scripted experts, registered for Gymnasium.

Importing this package registers the ids and starts nothing. Isaac Lab finds it through the
``isaaclab.tasks`` entry point.
"""

from __future__ import annotations

import gymnasium as gym

TASKS: dict[str, str] = {
    "Sage-Navigation": "sage_tasks.navigation.navigation_env",
    "Sage-Social": "sage_tasks.social.social_env",
    "Sage-Social-Follow": "sage_tasks.social.follow_env",
}
"""Id -> module with the environment; its config lives in the module named ``<module>_cfg``."""

_CLASSES = {
    "Sage-Navigation": "NavigationEnv",
    "Sage-Social": "SocialEnv",
    "Sage-Social-Follow": "FollowEnv",
}
_EXPERTS = {
    "Sage-Navigation": "sage_tasks.navigation.expert:NavigationExpert",
    "Sage-Social": "sage_tasks.social.expert:SocialExpert",
    "Sage-Social-Follow": "sage_tasks.social.expert:FollowExpert",
}

for _id, _module in TASKS.items():
    if _id not in gym.registry:
        gym.register(
            id=_id,
            entry_point=f"{_module}:{_CLASSES[_id]}",
            disable_env_checker=True,
            kwargs={
                "env_cfg_entry_point": f"{_module}_cfg:{_CLASSES[_id]}Cfg",
                "expert_entry_point": _EXPERTS[_id],
            },
        )
