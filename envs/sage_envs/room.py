"""The room: floor, walls, fixed obstacles, loose objects, a goal post and the rover."""

from __future__ import annotations

import isaaclab.sim as sim_utils
from isaaclab.actuators import ImplicitActuatorCfg
from isaaclab.assets import ArticulationCfg, AssetBaseCfg, RigidObjectCfg, RigidObjectCollectionCfg
from isaaclab.scene import InteractiveSceneCfg
from isaaclab.sensors import CameraCfg, ContactSensorCfg
from isaaclab.utils import configclass

from .paths import assets_dir
from .scene_parts import (
    Color,
    Thing,
    camera,
    contacts,
    daylight,
    fixed_body,
    goal_marker,
    loose_body,
    object_contacts,
    slab,
)

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


def goal_post() -> RigidObjectCfg:
    """A green post to be seen, not touched; it is one of a room's fixtures."""
    post = sim_utils.CylinderCfg(radius=GOAL_RADIUS, height=GOAL_HEIGHT)
    # Newton finds the bodies of a collection by the start of their names, which must be the same.
    return goal_marker(post, "obstacle_goal", (1.5, 0.0, GOAL_HEIGHT / 2))


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
        rigid_objects={t.name: loose_body(t, 0.7 * (i - 2.0)) for i, t in enumerate(OBJECTS)}
    )
    fixtures: RigidObjectCollectionCfg = RigidObjectCollectionCfg(
        rigid_objects={t.name: fixed_body(t, i - 1.5) for i, t in enumerate(OBSTACLES)} | {"goal": goal_post()}
    )
    light: AssetBaseCfg = daylight()
    object_contacts: ContactSensorCfg = object_contacts()
    skin_contacts: ContactSensorCfg = contacts("robot/chassis", (t.name for t in (*OBJECTS, *OBSTACLES)))
    camera: CameraCfg = camera(focal_length=12.0, far=20.0)

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
    scene.floor = slab("floor", (edge + 0.4, edge + 0.4, 0.2), (0.0, 0.0, -0.1), (0.52, 0.47, 0.42))
    places = ((off, 0.0), (-off, 0.0), (0.0, off), (0.0, -off))
    for i, ((x, y), color) in enumerate(zip(places, WALL_COLORS, strict=True)):
        size = (WALL_THICKNESS, edge + 0.2, high) if y == 0.0 else (edge, WALL_THICKNESS, high)
        setattr(scene, f"wall_{i}", slab(f"wall_{i}", size, (x, y, high / 2), color))
