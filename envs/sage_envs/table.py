"""The table: a top, loose objects, a goal marker, a fixed camera and a Franka Panda."""

from __future__ import annotations

import isaaclab.sim as sim_utils
from isaaclab.actuators import ImplicitActuatorCfg
from isaaclab.assets import ArticulationCfg, AssetBaseCfg, RigidObjectCfg, RigidObjectCollectionCfg
from isaaclab.scene import InteractiveSceneCfg
from isaaclab.sensors import CameraCfg, ContactSensorCfg
from isaaclab.utils import configclass
from isaaclab_assets.robots.franka import FRANKA_PANDA_CFG
from isaaclab_tasks.utils import preset

from .paths import assets_dir
from .scene_parts import Thing, camera, contacts, daylight, loose_body, object_contacts, slab

OBJECTS: tuple[Thing, ...] = (
    Thing("object_0", "box", "wood", 0.025, 0.05, 0.08, (0.72, 0.45, 0.20)),
    Thing("object_1", "ball", "rubber", 0.030, 0.06, 0.12, (0.85, 0.15, 0.15)),
    Thing("object_2", "cylinder", "metal", 0.025, 0.07, 0.35, (0.70, 0.72, 0.78)),
    Thing("object_3", "box", "glass", 0.025, 0.08, 0.45, (0.20, 0.75, 0.85)),
    Thing("object_4", "cylinder", "plastic", 0.033, 0.03, 0.10, (0.60, 0.25, 0.80)),
)
"""Loose objects, each fit for the gripper; their masses are those of solid bodies of their materials.

Not 6, 7 or 9 of them: see :data:`sage_envs.room.OBJECTS`.
"""

TABLE_X, TABLE_Y = (-0.25, 1.25), (-0.55, 0.55)
"""Where the table reaches [m]; the robot stands at the origin, the top is at height 0."""
FLOOR = -0.6
"""Height of the floor [m]."""
ARM_JOINTS = tuple(f"panda_joint{i}" for i in range(1, 8))
FINGER_JOINTS = ("panda_finger_joint1", "panda_finger_joint2")
HAND, FINGERS = "panda_hand", ("panda_leftfinger", "panda_rightfinger")
PAD_HEIGHT = 0.1034
"""From the hand's origin to the point between the finger pads, along its z axis [m]."""
OPEN = 0.04
"""Way of each finger from closed to open [m]."""
READY = (0.0, -0.35, 0.0, -2.55, 0.0, 2.2, 0.785398)
"""Arm joints at rest: the open hand points down over the middle of the work space [rad]."""

_HOME = dict(zip((*ARM_JOINTS, *FINGER_JOINTS), (*READY, OPEN, OPEN), strict=True))


def _franka() -> ArticulationCfg:
    return ArticulationCfg(
        prim_path="{ENV_REGEX_NS}/robot",
        spawn=sim_utils.UsdFileCfg(
            usd_path=str(assets_dir() / "franka.usda"),
            activate_contact_sensors=True,
            semantic_tags=[("class", "robot")],
        ),
        init_state=ArticulationCfg.InitialStateCfg(joint_pos=_HOME),
        actuators={
            "arm": ImplicitActuatorCfg(
                joint_names_expr=["panda_joint[1-7]"],
                stiffness=2000.0,
                damping={"panda_joint[1-4]": 120.0, "panda_joint[5-7]": 40.0},
                armature=0.1,
                effort_limit_sim={"panda_joint[1-4]": 87.0, "panda_joint[5-7]": 12.0},
            ),
            # The real gripper holds with up to 70 N. PhysX lets through about half of what the spring asks beyond the
            # limit: pads feel 42 to 50 N (docs/tasks/reach.md).
            "hand": ImplicitActuatorCfg(
                joint_names_expr=["panda_finger_joint.*"], stiffness=2000.0, damping=100.0, effort_limit_sim=40.0
            ),
        },
    )


def _stock_franka() -> ArticulationCfg:
    """NVIDIA's own asset; it lives on their servers. Same joints, links and frames."""
    cfg = FRANKA_PANDA_CFG.replace(prim_path="{ENV_REGEX_NS}/robot")
    cfg.spawn.activate_contact_sensors = True
    cfg.spawn.semantic_tags = [("class", "robot")]
    cfg.init_state.joint_pos = _HOME
    return cfg


@configclass
class TableSceneCfg(InteractiveSceneCfg):
    """A robot arm at a table; ``stock`` is the preset that takes NVIDIA's Franka."""

    num_envs: int = 16
    env_spacing: float = 3.0
    replicate_physics: bool = True

    robot: ArticulationCfg = preset(default=_franka(), stock=_stock_franka())
    objects: RigidObjectCollectionCfg = RigidObjectCollectionCfg(
        rigid_objects={t.name: loose_body(t, 0.15 * (i + 1)) for i, t in enumerate(OBJECTS)}
    )
    goal: RigidObjectCfg | None = None
    light: AssetBaseCfg = daylight()
    object_contacts: ContactSensorCfg = object_contacts()
    skin_contacts: ContactSensorCfg = contacts(
        "robot/panda_(left|right)finger", (t.name for t in OBJECTS), max_contact_data_count_per_prim=32
    )
    camera: CameraCfg = camera(focal_length=22.0, far=10.0)

    def __post_init__(self) -> None:
        """Add table top and floor."""
        x, y = sum(TABLE_X) / 2, sum(TABLE_Y) / 2
        size = (TABLE_X[1] - TABLE_X[0], TABLE_Y[1] - TABLE_Y[0], 0.05)
        self.table = slab("table", size, (x, y, -0.025), (0.52, 0.47, 0.42))
        self.floor = slab("floor", (2.6, 2.6, 0.2), (x, y, FLOOR - 0.1), (0.35, 0.37, 0.40))
