"""PPO for ``Sage-Navigation``."""

from __future__ import annotations

from isaaclab.utils import configclass

from sage_tasks.agents.ppo_cfg import SagePpoRunnerCfg


@configclass
class NavigationPpoRunnerCfg(SagePpoRunnerCfg):
    """The shared config under this task's name."""

    experiment_name: str = "sage_navigation"
