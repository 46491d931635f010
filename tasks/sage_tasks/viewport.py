"""A task in Isaac Sim's own process, on PhysX, seen in its viewport.

Written against Isaac Lab 3.0's launcher; it needs a full Isaac Sim and has not been run.
It starts Kit itself and drives it: Isaac Lab calls Kit's update from within a step, so it cannot run from a script or a
button of an app that is already running.
"""

from __future__ import annotations

import sys

import gymnasium as gym

from . import TASKS
from .make import load_cfg
from .policies import make_policy


def watch(task: str, policy: str = "expert", num_envs: int = 4, seed: int = 0) -> None:
    """Show a policy at work until the process is stopped.

    Args:
        task: Id, one of :data:`sage_tasks.TASKS`.
        policy: One of :data:`sage_tasks.policies.POLICIES`.
        num_envs: Parallel worlds.
        seed: Seed of worlds and policy.

    Raises:
        ValueError: Unknown task or policy.
    """
    if task not in TASKS:
        raise ValueError(f"task={task}: unknown task; use one of {', '.join(TASKS)}")
    from isaaclab.app import launch_simulation

    entry = gym.spec(task).kwargs["env_cfg_entry_point"]
    cfg = load_cfg(entry, num_envs=num_envs, seed=seed, physics="isaacsim_physx")
    with launch_simulation(cfg, {"visualizer": ["kit"]}):
        env = gym.make(task, cfg=cfg).unwrapped
        try:
            actor = make_policy(policy, env, seed)  # type: ignore[arg-type]
            observation, _ = env.reset(seed=seed)
            while True:
                observation = env.step(actor.act(observation))[0]
        finally:
            env.close()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m sage_tasks.viewport TASK [POLICY]")
    watch(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else "expert")
