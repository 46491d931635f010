"""The simulated body: where the mind's command line meets environments and tasks.

The one module of ``sage_ext`` that calls ``sage_tasks``; it is loaded by the command that needs it.
"""

from __future__ import annotations

import dataclasses

from .config import Config
from .environment import Environment, Policy
from .play_config import PlayConfig


class SimulatedBody:
    """Environments of ``sage_tasks``; see :class:`sage_ext.cycle.Body`."""

    def environment(self, config: Config | PlayConfig) -> Environment:
        """Start the simulator of a run or a play.

        Raises:
            ValueError: Unknown task, engine or difficulty, or a range that the engine cannot follow.
        """
        from sage_tasks.make import make

        task = config.task
        env: Environment = make(
            task.id,
            num_envs=task.num_envs,
            seed=config.seed,
            physics=task.physics,
            device=task.device,
            resolution=task.resolution,
            episode_length_s=task.episode_length_s,
            difficulty=task.difficulty,
            noise=task.noise,
            segmentation=task.segmentation,
            object_sizes=task.object_sizes,
            randomisation=dataclasses.asdict(config.randomisation),
        )
        return env

    def policy(self, name: str, env: Environment, seed: int) -> Policy:
        """A source of actions by its name.

        Raises:
            ValueError: The task has no such source.
        """
        from sage_tasks.policies import make_policy

        policy: Policy = make_policy(name, env, seed)  # type: ignore[arg-type]
        return policy

    def disturbance(self, env: Environment) -> float:
        """How much demonstrations of its task are disturbed where the config does not say."""
        from sage_tasks.policies import disturbance

        return disturbance(env)  # type: ignore[arg-type]
