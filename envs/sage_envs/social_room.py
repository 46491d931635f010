"""The room where people walk: a larger room with pillars, two loose objects, a goal post, people and the rover."""

from __future__ import annotations

import isaaclab.sim as sim_utils
from isaaclab.assets import RigidObjectCfg, RigidObjectCollectionCfg
from isaaclab.sensors import ContactSensorCfg
from isaaclab.utils import configclass
from isaaclab_tasks.utils import preset

from .crowd import BODY_RADIUS
from .room import OBJECTS, RoomSceneCfg, enclose, goal_post
from .scene_parts import Color, Thing, contacts, fixed_body, loose_body, surface

SOCIAL_ROOM_HALF = 3.5
"""Half the inner edge of the room [m]."""
SOCIAL_OBJECTS: tuple[Thing, ...] = OBJECTS[:2]
"""A wooden box and a rubber ball."""
PILLARS: tuple[Thing, ...] = (
    Thing("obstacle_0", "cylinder", "concrete", 0.20, 1.2, 0.0, (0.45, 0.30, 0.30)),
    Thing("obstacle_1", "cylinder", "concrete", 0.20, 1.2, 0.0, (0.30, 0.32, 0.48)),
)
"""Pillars: immovable while an episode lasts, elsewhere in the next."""

PERSON_HEIGHT = 1.7
"""Height of a person [m]."""
PERSON_COLORS: tuple[Color, ...] = (
    (0.95, 0.45, 0.05),
    (0.20, 0.35, 0.85),
    (0.60, 0.20, 0.65),
    (0.10, 0.60, 0.60),
    (0.85, 0.80, 0.15),
    (0.55, 0.30, 0.15),
    (0.90, 0.45, 0.65),
    (0.25, 0.25, 0.30),
)
"""Colours of the people; the first, who can be told from all others, is the one to follow."""


def person_names(count: int) -> list[str]:
    """Names of the people's prims and bodies.

    Args:
        count: How many people there are, at most as many as :data:`PERSON_COLORS`.
    """
    return [f"person_{i}" for i in range(count)]


def _person(index: int) -> RigidObjectCfg:
    """A capsule that is moved by pose writes: seen and touched, not pushed."""
    spawn = sim_utils.CapsuleCfg(
        radius=BODY_RADIUS,
        height=PERSON_HEIGHT - 2 * BODY_RADIUS,
        **surface(PERSON_COLORS[index], "rubber", "person"),
        rigid_props=[sim_utils.UsdPhysicsRigidBodyCfg(kinematic_enabled=True)],
    )
    state = RigidObjectCfg.InitialStateCfg(pos=(0.8 * index - 2.8, 2.0, PERSON_HEIGHT / 2))
    return RigidObjectCfg(prim_path=f"{{ENV_REGEX_NS}}/{person_names(index + 1)[-1]}", spawn=spawn, init_state=state)


def _people(count: int) -> RigidObjectCollectionCfg:
    people = {name: _person(i) for i, name in enumerate(person_names(count))}
    return RigidObjectCollectionCfg(rigid_objects=people)


def _skin(count: int) -> ContactSensorCfg:
    partners = [*(t.name for t in SOCIAL_OBJECTS), *person_names(count), *(t.name for t in PILLARS)]
    return contacts("robot/chassis", partners)


@configclass
class SocialRoomSceneCfg(RoomSceneCfg):
    """A room with people: 2, 4 or 8 by difficulty.

    Not 6, 7 or 9: see :data:`sage_envs.room.OBJECTS`.
    """

    env_spacing: float = 9.0

    objects: RigidObjectCollectionCfg = RigidObjectCollectionCfg(
        rigid_objects={t.name: loose_body(t, float(i)) for i, t in enumerate(SOCIAL_OBJECTS)}
    )
    fixtures: RigidObjectCollectionCfg = RigidObjectCollectionCfg(
        rigid_objects={t.name: fixed_body(t, float(i)) for i, t in enumerate(PILLARS)} | {"goal": goal_post()}
    )
    people: RigidObjectCollectionCfg = preset(default=_people(4), easy=_people(2), hard=_people(8))
    skin_contacts: ContactSensorCfg = preset(default=_skin(4), easy=_skin(2), hard=_skin(8))

    def __post_init__(self) -> None:
        """Add floor and walls."""
        enclose(self, SOCIAL_ROOM_HALF)
