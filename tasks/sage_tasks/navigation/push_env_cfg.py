"""Config of ``Sage-Navigation-Push``."""

from __future__ import annotations

import isaaclab.sim as sim_utils
from isaaclab.assets import RigidObjectCfg
from isaaclab.utils import configclass
from isaaclab_tasks.utils import preset

from sage_envs.room import OBJECTS, RoomSceneCfg
from sage_envs.scene_parts import Thing

from .navigation_env_cfg import NavigationEnvCfg

GAP = 0.72
"""Width of a gap [m]."""
GAP_PLACES = (0.95, 1.4)
"""Nearest and farthest middle of a gap from the middle of the wall [m]."""
THICKNESS = 0.12
"""Of the wall [m]."""
CRATES: tuple[Thing, ...] = tuple(
    Thing(f"object_{i}", "box", "wood", 0.19, 0.26, 2.0, (0.72, 0.45, 0.20)) for i in range(2)
)
"""They stand in the gaps. Alike to the eye: only pushing tells how heavy one is."""
PIECES: tuple[Thing, ...] = tuple(
    Thing(f"obstacle_{i}", "box", "concrete", 0.55, 0.6, 0.0, (0.50, 0.50, 0.54)) for i in range(4)
)
"""The wall, of which the radius is half the length.

Alike, and long enough for any two gaps: the inner two overlap, the outer two reach through the room's walls.
"""


def _as_box(cfg: RigidObjectCfg, thing: Thing, size: tuple[float, float, float]) -> RigidObjectCfg:
    """What a room has under the thing's name, as a box of other size, mass and colour."""
    changes = {"visual_material": sim_utils.PreviewSurfaceCfg(diffuse_color=thing.color)}
    if thing.mass:
        changes["mass_props"] = sim_utils.MassCfg(mass=thing.mass)
    path = f"{{ENV_REGEX_NS}}/{thing.name}"
    return cfg.replace(prim_path=path, spawn=cfg.spawn.replace(size=size, **changes))


@configclass
class PushSceneCfg(RoomSceneCfg):
    """The room with a wall across it instead of obstacles, and crates instead of two of the objects."""

    def __post_init__(self) -> None:
        """Replace obstacles and objects."""
        super().__post_init__()
        objects, fixtures = self.objects.rigid_objects, self.fixtures.rigid_objects
        box, block = objects[OBJECTS[0].name], fixtures[PIECES[0].name]
        for crate in CRATES:
            objects[crate.name] = _as_box(box, crate, (2 * crate.radius, 2 * crate.radius, crate.height))
        for piece in PIECES:
            fixtures[piece.name] = _as_box(block, piece, (THICKNESS, 2 * piece.radius, piece.height))


@configclass
class PushEnvCfg(NavigationEnvCfg):
    """A wall with two gaps between the rover and the goal, a crate in each gap.

    Clearance, throws and the goal's distance are those of ``Sage-Navigation``.
    """

    scene: PushSceneCfg = PushSceneCfg()
    obstacles: int = len(PIECES)
    heavy_share: float = preset(default=0.5, easy=0.0, hard=1.0)
    """How often one of the two crates, either, is too heavy to be pushed."""
    heavy_mass: tuple[float, float] = (30.0, 60.0)
    """Range of the mass of such a crate [kg]."""
    light_mass: tuple[float, float] = preset(default=(0.8, 3.0), easy=(0.5, 1.5), hard=(1.5, 5.0))
    """Range of the mass of the others [kg]."""
