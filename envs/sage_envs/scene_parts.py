"""What scenes are built of: loose and fixed bodies, slabs and marks, with their materials; lights and sensors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import isaaclab.sim as sim_utils
from isaaclab.assets import AssetBaseCfg, RigidObjectCfg
from isaaclab.sensors import CameraCfg, ContactSensorCfg
from isaaclab.sim.spawners.materials.physics_materials_cfg import UsdPhysicsRigidBodyMaterialCfg
from isaaclab_physx.sim.schemas import PhysxRigidBodyCfg
from isaaclab_physx.sim.spawners.materials import PhysxMaterialCfg
from isaaclab_tasks.utils import preset

from .engines import RendererPresetCfg
from .materials import MATERIALS

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Thing:
    """A loose object or an obstacle.

    Attributes:
        name: Name of its prim and scene entity.
        kind: ``box``, ``ball`` or ``cylinder``.
        material: Key of :data:`sage_envs.materials.MATERIALS`.
        radius: Half the edge of a box, else the radius [m].
        height: Vertical size at rest [m].
        mass: Mass [kg]; 0 for things that never move.
        color: RGB in 0..1.
    """

    name: str
    kind: str
    material: str
    radius: float
    height: float
    mass: float
    color: Color

    @property
    def outline(self) -> float:
        """Radius of the circle around it, seen from above [m]."""
        return self.radius * (math.sqrt(2.0) if self.kind == "box" else 1.0)


HISTORY = 8
"""Physics steps of contact forces kept: enough for one look at half cadence with half the physics step."""


def _friction(material: str, movable: bool) -> list:
    """A contact's friction is that of its more slippery (PhysX) or rougher (Newton) body.

    PhysX takes the minimum as told here; Newton knows only the maximum. The fixed parts of the
    room are therefore made neutral under each rule, so that a loose body's own coefficient
    counts and scaling it scales the contact. The same holds of restitution, whose maximum PhysX
    takes where something is fixed.
    """
    mu = MATERIALS[material].dynamic_friction
    physx = [
        UsdPhysicsRigidBodyMaterialCfg(
            static_friction=MATERIALS[material].static_friction if movable else 10.0,
            dynamic_friction=mu if movable else 10.0,
            restitution=MATERIALS[material].restitution if movable else 0.0,
        ),
        PhysxMaterialCfg(friction_combine_mode="min", restitution_combine_mode="min" if movable else "max"),
    ]
    # MuJoCo's contacts may turn into not-a-number without any friction.
    least = mu if movable else 1e-4
    newton = [UsdPhysicsRigidBodyMaterialCfg(static_friction=least, dynamic_friction=least, restitution=0.0)]
    return preset(default=physx, newton_mjwarp=newton)


def surface(color: Color, material: str, kind: str, movable: bool = False) -> dict:
    """Arguments of a shape's spawner for how it looks, what it is and what touching it is like.

    Args:
        color: RGB in 0..1.
        material: Key of :data:`sage_envs.materials.MATERIALS`.
        kind: Its class in semantic segmentation.
        movable: Whether it is a loose body, whose own friction counts in its contacts.
    """
    return {
        "semantic_tags": [("class", kind)],
        "visual_material": sim_utils.PreviewSurfaceCfg(diffuse_color=color),
        "physics_material": _friction(material, movable),
        "collision_props": sim_utils.UsdPhysicsCollisionCfg(),
    }


def _shape(thing: Thing, **kwargs) -> sim_utils.ShapeCfg:
    if thing.kind == "box":
        return sim_utils.CuboidCfg(size=(2 * thing.radius, 2 * thing.radius, thing.height), **kwargs)
    if thing.kind == "ball":
        return sim_utils.SphereCfg(radius=thing.radius, **kwargs)
    return sim_utils.CylinderCfg(radius=thing.radius, height=thing.height, **kwargs)


def loose_body(thing: Thing, x: float) -> RigidObjectCfg:
    """A thing that moves by physics and never sleeps.

    Args:
        thing: What it is.
        x: Where it is before the first reset [m].
    """
    spawn = _shape(
        thing,
        **surface(thing.color, thing.material, thing.kind, movable=True),
        # Sleeping bodies ignore a changed gravity.
        rigid_props=[sim_utils.UsdPhysicsRigidBodyCfg(), PhysxRigidBodyCfg(sleep_threshold=0.0)],
        mass_props=sim_utils.MassCfg(mass=thing.mass),
        activate_contact_sensors=True,
    )
    state = RigidObjectCfg.InitialStateCfg(pos=(x, -1.0, thing.height / 2))
    return RigidObjectCfg(prim_path=f"{{ENV_REGEX_NS}}/{thing.name}", spawn=spawn, init_state=state)


def fixed_body(thing: Thing, x: float) -> RigidObjectCfg:
    """A thing that moves by pose writes only.

    Args:
        thing: What it is.
        x: Where it is before the first reset [m].
    """
    spawn = _shape(
        thing,
        **surface(thing.color, thing.material, "obstacle"),
        rigid_props=[sim_utils.UsdPhysicsRigidBodyCfg(kinematic_enabled=True)],
    )
    state = RigidObjectCfg.InitialStateCfg(pos=(x, 1.0, thing.height / 2))
    return RigidObjectCfg(prim_path=f"{{ENV_REGEX_NS}}/{thing.name}", spawn=spawn, init_state=state)


def slab(name: str, size: tuple[float, float, float], pos: tuple[float, float, float], color: Color) -> AssetBaseCfg:
    """A part of the building: a concrete cuboid that never moves.

    Args:
        name: Name of its prim; what stands before the first ``_`` is its class.
        size: Edges [m].
        pos: Its middle in its world's frame [m].
        color: RGB in 0..1.
    """
    return AssetBaseCfg(
        prim_path=f"{{ENV_REGEX_NS}}/{name}",
        spawn=sim_utils.CuboidCfg(size=size, **surface(color, "concrete", name.split("_")[0])),
        init_state=AssetBaseCfg.InitialStateCfg(pos=pos),
    )


def goal_marker(
    shape: sim_utils.ShapeCfg, name: str = "goal", pos: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> RigidObjectCfg:
    """A green mark to be seen, not touched.

    Args:
        shape: What it looks like; colour and physics are set here.
        name: Name of its prim.
        pos: Where it is before the first reset [m].
    """
    shape.semantic_tags = [("class", "goal")]
    shape.visual_material = sim_utils.PreviewSurfaceCfg(diffuse_color=(0.05, 0.95, 0.10))
    shape.rigid_props = [sim_utils.UsdPhysicsRigidBodyCfg(kinematic_enabled=True)]
    # Newton drops bodies with neither shape nor mass.
    shape.mass_props = sim_utils.MassCfg(mass=1.0)
    state = RigidObjectCfg.InitialStateCfg(pos=pos)
    return RigidObjectCfg(prim_path=f"{{ENV_REGEX_NS}}/{name}", spawn=shape, init_state=state)


def daylight() -> AssetBaseCfg:
    """The same light from everywhere, one for all worlds."""
    return AssetBaseCfg(prim_path="/World/light", spawn=sim_utils.DomeLightCfg(intensity=2000.0))


def object_contacts() -> ContactSensorCfg:
    """Contact forces on all loose bodies, which are named ``object_*``."""
    return contacts("object_.*", track_friction_forces=True)


def contacts(bodies: str, partners: Iterable[str] = (), **settings: Any) -> ContactSensorCfg:
    """Contact forces on bodies, step by step.

    Args:
        bodies: Path of the bodies within a world, as a regular expression.
        partners: Names of bodies whose forces are told apart.
        **settings: Of :class:`isaaclab.sensors.ContactSensorCfg`.
    """
    return ContactSensorCfg(
        class_type="sage_envs.contact_sensor:contact_sensor",
        prim_path=f"{{ENV_REGEX_NS}}/{bodies}",
        history_length=HISTORY,
        filter_prim_paths_expr=[f"{{ENV_REGEX_NS}}/{name}" for name in partners],
        **settings,
    )


def camera(focal_length: float, far: float) -> CameraCfg:
    """A camera of 64x64 pixels that sees colour and depth.

    Args:
        focal_length: In the unit of the sensor, which is 20.955 wide.
        far: How far it sees [m].
    """
    return CameraCfg(
        prim_path="{ENV_REGEX_NS}/camera",
        data_types=["rgb", "depth"],
        width=64,
        height=64,
        spawn=sim_utils.PinholeCameraCfg(
            focal_length=focal_length, horizontal_aperture=20.955, clipping_range=(0.05, far)
        ),
        renderer_cfg=RendererPresetCfg(),
    )
