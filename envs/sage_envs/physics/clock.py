"""The physics step, one for the whole scene; environment steps stay as long as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..sage_env import SageEnv

PER_STEP = (1, 2, 4, 8)
"""Physics steps an environment step may have: the ears make a whole number of samples in each."""


class Clock:
    """Changes the physics step of a running environment.

    Args:
        env: The environment, its simulation started.
    """

    def __init__(self, env: SageEnv) -> None:
        self._env, self._step, self.nominal = env, env.step_dt, env.physics_dt

    @property
    def time_step(self) -> float:
        """Physics step in force [s]."""
        return float(self._env.physics_dt)

    def check(self, time_step: float) -> int:
        """Physics steps that an environment step then has.

        Raises:
            ValueError: The step does not fit.
        """
        most = self._env.scene["object_contacts"].cfg.history_length
        fits = [count for count in PER_STEP if count <= most]
        for count in fits:
            if abs(self._step / count - time_step) < 1e-6:
                return count
        steps = ", ".join(f"1/{count / self._step:.0f}" for count in fits)
        raise ValueError(f"time_step={time_step:g}: must be one of {steps} s: whole parts of an environment step")

    def set(self, time_step: float) -> None:
        """Put a physics step in force [s]; what rings goes on ringing.

        Raises:
            ValueError: The step does not fit.
        """
        env, count = self._env, self.check(time_step)
        if count == env.cfg.decimation:
            return
        env.cfg.sim.dt, env.cfg.decimation = self._step / count, count
        env.cfg.sim.render_interval = count
        manager = env.sim.physics_manager
        if manager.__name__.startswith("Newton"):
            from isaaclab_newton.physics import NewtonManager

            NewtonManager._solver_dt = env.cfg.sim.dt / NewtonManager._num_substeps
        manager.set_decimation(count)
        env.senses.retime()
        env.discard_ticks()
