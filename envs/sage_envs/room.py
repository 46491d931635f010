"""The room: floor, walls, fixed obstacles, loose objects, a goal post and the rover."""

from __future__ import annotations

import math
from dataclasses import dataclass

import isaaclab.sim as sim_utils
from isaaclab.actuators import ImplicitActuatorCfg
from isaaclab.assets import ArticulationCfg, AssetBaseCfg, RigidObjectCfg, RigidObjectCollectionCfg
from isaaclab.scene import InteractiveSceneCfg
from isaaclab.sensors import CameraCfg, ContactSensorCfg
from isaaclab.sim.spawners.materials.physics_materials_cfg import UsdPhysicsRigidBodyMaterialCfg
from isaaclab.utils import configclass
from isaaclab_physx.sim.schemas import PhysxRigidBodyCfg
from isaaclab_physx.sim.spawners.materials import PhysxMaterialCfg
from isaaclab_tasks.utils import preset

from .engines import RendererPresetCfg
from .materials import MATERIALS
from .paths import assets_dir

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


OBJECTS: tuple[Thing, ...] = (
    Thing("object_0", "box", "wood", 0.13, 0.26, 0.8, (0.72, 0.45, 0.20)),
    Thing("object_1", "ball", "rubber", 0.13, 0.26, 0.4, (0.85, 0.15, 0.15)),
    Thing("object_2", "cylinder", "metal", 0.09, 0.26, 1.6, (0.70, 0.72, 0.78)),
    Thing("object_3", "box", "glass", 0.10, 0.20, 1.2, (0.20, 0.75, 0.85)),
    Thing("object_4", "ball", "metal", 0.10, 0.20, 2.5, (0.25, 0.30, 0.90)),
)
"""Loose objects: they differ in shape, colour, mass and friction.

Not 6, 7 or 9 of them: with as many bodies as a velocity, pose or inertia has numbers, Isaac Lab
3.0's OvPhysX collection takes its flat buffers for per-world ones and mixes worlds up.
"""

OBSTACLES: tuple[Thing, ...] = (
    Thing("obstacle_0", "box", "concrete", 0.20, 0.6, 0.0, (0.45, 0.30, 0.30)),
    Thing("obstacle_1", "cylinder", "concrete", 0.20, 0.6, 0.0, (0.30, 0.45, 0.30)),
    Thing("obstacle_2", "box", "concrete", 0.16, 0.6, 0.0, (0.30, 0.32, 0.48)),
    Thing("obstacle_3", "cylinder", "concrete", 0.16, 0.6, 0.0, (0.48, 0.44, 0.28)),
)
"""Obstacles: immovable while an episode lasts, elsewhere in the next."""

ROOM_HALF = 2.0
"""Half the inner edge of the room [m]."""
WALL_HEIGHT, WALL_THICKNESS = 0.6, 0.1
WALL_COLORS: tuple[Color, ...] = ((0.75, 0.62, 0.50), (0.55, 0.70, 0.52), (0.52, 0.60, 0.74), (0.72, 0.54, 0.66))

GOAL_RADIUS, GOAL_HEIGHT = 0.05, 0.9
ROVER_LINKS = ("chassis", "left_wheel", "right_wheel")
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


def _surface(color: Color, material: str, kind: str, movable: bool = False) -> dict:
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


def _loose(thing: Thing, x: float) -> RigidObjectCfg:
    spawn = _shape(
        thing,
        **_surface(thing.color, thing.material, thing.kind, movable=True),
        # Sleeping bodies ignore a changed gravity.
        rigid_props=[sim_utils.UsdPhysicsRigidBodyCfg(), PhysxRigidBodyCfg(sleep_threshold=0.0)],
        mass_props=sim_utils.MassCfg(mass=thing.mass),
        activate_contact_sensors=True,
    )
    state = RigidObjectCfg.InitialStateCfg(pos=(x, -1.0, thing.height / 2))
    return RigidObjectCfg(prim_path=f"{{ENV_REGEX_NS}}/{thing.name}", spawn=spawn, init_state=state)


def _fixed(thing: Thing, x: float) -> RigidObjectCfg:
    spawn = _shape(
        thing,
        **_surface(thing.color, thing.material, "obstacle"),
        rigid_props=[sim_utils.UsdPhysicsRigidBodyCfg(kinematic_enabled=True)],
    )
    state = RigidObjectCfg.InitialStateCfg(pos=(x, 1.0, thing.height / 2))
    return RigidObjectCfg(prim_path=f"{{ENV_REGEX_NS}}/{thing.name}", spawn=spawn, init_state=state)


def _slab(name: str, size: tuple[float, float, float], pos: tuple[float, float, float], color: Color) -> AssetBaseCfg:
    return AssetBaseCfg(
        prim_path=f"{{ENV_REGEX_NS}}/{name}",
        spawn=sim_utils.CuboidCfg(size=size, **_surface(color, "concrete", name.split("_")[0])),
        init_state=AssetBaseCfg.InitialStateCfg(pos=pos),
    )


def _goal() -> RigidObjectCfg:
    """A post to be seen, not touched."""
    spawn = sim_utils.CylinderCfg(
        radius=GOAL_RADIUS,
        height=GOAL_HEIGHT,
        semantic_tags=[("class", "goal")],
        visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=(0.05, 0.95, 0.10)),
        rigid_props=[sim_utils.UsdPhysicsRigidBodyCfg(kinematic_enabled=True)],
        # Newton drops bodies with neither shape nor mass.
        mass_props=sim_utils.MassCfg(mass=1.0),
    )
    state = RigidObjectCfg.InitialStateCfg(pos=(1.5, 0.0, GOAL_HEIGHT / 2))
    # Newton finds the bodies of a collection by the start of their names, which must be the same.
    return RigidObjectCfg(prim_path="{ENV_REGEX_NS}/obstacle_goal", spawn=spawn, init_state=state)


@configclass
class RoomSceneCfg(InteractiveSceneCfg):
    """A walled room for a wheeled robot."""

    num_envs: int = 16
    env_spacing: float = 6.0
    replicate_physics: bool = True

    robot: ArticulationCfg = ArticulationCfg(
        prim_path="{ENV_REGEX_NS}/robot",
        spawn=sim_utils.UsdFileCfg(
            usd_path=str(assets_dir() / "rover.usda"),
            activate_contact_sensors=True,
            semantic_tags=[("class", "robot")],
        ),
        actuators={
            "wheels": ImplicitActuatorCfg(
                joint_names_expr=[".*_wheel_joint"], stiffness=0.0, damping=2.0, effort_limit_sim=20.0
            )
        },
    )
    # One asset of many bodies is read and written at once, where each asset costs time a step.
    objects: RigidObjectCollectionCfg = RigidObjectCollectionCfg(
        rigid_objects={t.name: _loose(t, 0.7 * (i - 2.0)) for i, t in enumerate(OBJECTS)}
    )
    fixtures: RigidObjectCollectionCfg = RigidObjectCollectionCfg(
        rigid_objects={t.name: _fixed(t, i - 1.5) for i, t in enumerate(OBSTACLES)} | {"goal": _goal()}
    )
    light: AssetBaseCfg = AssetBaseCfg(prim_path="/World/light", spawn=sim_utils.DomeLightCfg(intensity=2000.0))
    object_contacts: ContactSensorCfg = ContactSensorCfg(
        prim_path="{ENV_REGEX_NS}/object_.*", history_length=HISTORY, track_friction_forces=True
    )
    skin_contacts: ContactSensorCfg = ContactSensorCfg(
        prim_path="{ENV_REGEX_NS}/robot/chassis",
        history_length=HISTORY,
        filter_prim_paths_expr=[f"{{ENV_REGEX_NS}}/{t.name}" for t in (*OBJECTS, *OBSTACLES)],
    )
    camera: CameraCfg = CameraCfg(
        prim_path="{ENV_REGEX_NS}/camera",
        data_types=["rgb", "depth"],
        width=64,
        height=64,
        spawn=sim_utils.PinholeCameraCfg(focal_length=12.0, horizontal_aperture=20.955, clipping_range=(0.05, 20.0)),
        renderer_cfg=RendererPresetCfg(),
    )

    def __post_init__(self) -> None:
        """Add floor and walls."""
        enclose(self, ROOM_HALF)


def enclose(scene: InteractiveSceneCfg, half: float) -> None:
    """Add a square floor and four walls to a scene.

    Args:
        scene: Gets ``floor`` and ``wall_0`` to ``wall_3``.
        half: Half the inner edge of the room [m].
    """
    edge, high = 2 * half, WALL_HEIGHT
    off = half + WALL_THICKNESS / 2
    scene.floor = _slab("floor", (edge + 0.4, edge + 0.4, 0.2), (0.0, 0.0, -0.1), (0.52, 0.47, 0.42))
    places = ((off, 0.0), (-off, 0.0), (0.0, off), (0.0, -off))
    for i, ((x, y), color) in enumerate(zip(places, WALL_COLORS, strict=True)):
        size = (WALL_THICKNESS, edge + 0.2, high) if y == 0.0 else (edge, WALL_THICKNESS, high)
        setattr(scene, f"wall_{i}", _slab(f"wall_{i}", size, (x, y, high / 2), color))
