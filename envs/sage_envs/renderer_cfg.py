"""Config of the ray caster that uses all cores."""

from __future__ import annotations

from isaaclab.utils import configclass
from isaaclab_newton.renderers import NewtonWarpRendererCfg


@configclass
class ThreadedRendererCfg(NewtonWarpRendererCfg):
    """Isaac Lab's Newton Warp renderer; on a CPU the picture's rows are shared out among threads."""

    class_type: type | str = "sage_envs.renderer:ThreadedRenderer"

    threads: int = 0
    """Threads that cast rays on a CPU; 0 is one a core, at most 8."""
