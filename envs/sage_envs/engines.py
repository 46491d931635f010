"""Physics engines and renderers, by preset name."""

from __future__ import annotations

from isaaclab.physics import PhysxAutoCfg
from isaaclab.utils import configclass
from isaaclab_newton.physics import MJWarpSolverCfg, NewtonCfg
from isaaclab_ov.physics import OvPhysxCfg
from isaaclab_physx.physics import PhysxCfg
from isaaclab_tasks.utils import PresetCfg
from isaaclab_tasks.utils.presets import MultiBackendRendererCfg

from .renderer_cfg import ThreadedRendererCfg


@configclass
class EngineCfg(PresetCfg):
    """``physics=ovphysx|newton_mjwarp|isaacsim_physx|physx``, as in Isaac Lab's own tasks."""

    # Without enhanced determinism one world's result can depend on its neighbours.
    ovphysx: OvPhysxCfg = OvPhysxCfg(enable_enhanced_determinism=True)
    isaacsim_physx: PhysxCfg = PhysxCfg(enable_enhanced_determinism=True)
    physx: PhysxAutoCfg = PhysxAutoCfg(isaacsim_physx=isaacsim_physx, ovphysx=ovphysx)
    newton_mjwarp: NewtonCfg = NewtonCfg(
        solver_cfg=MJWarpSolverCfg(
            njmax=400, nconmax=120, cone="elliptic", impratio=10.0, integrator="implicitfast", iterations=50
        ),
        num_substeps=2,
    )
    default: OvPhysxCfg = ovphysx


def resizes(physics: object) -> bool:
    """Whether an engine, given its config, lets shapes that are there be given other sizes."""
    return isinstance(physics, NewtonCfg)


@configclass
class RendererPresetCfg(MultiBackendRendererCfg):
    """``renderer=newton_renderer|rtx|...``, as in Isaac Lab; ray casting by default, which needs no GPU."""

    # Nothing in our scenes has a texture. Segmentation is numbers here, not colours.
    newton_renderer: ThreadedRendererCfg = ThreadedRendererCfg(
        enable_textures=False, colorize_semantic_segmentation=False, colorize_instance_segmentation=False
    )
    default: ThreadedRendererCfg = newton_renderer
