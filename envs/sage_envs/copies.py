"""Each loose object once in each size, of which all but one wait far below the floor, weightless and still.

What waits touches nothing and is beyond the camera's reach. A task sees each object once: these views stand where its
collection and contact sensors would, and show the copies in force.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
import warp as wp
from torch import Tensor

from .engines import resizes
from .sizes import Sizes

if TYPE_CHECKING:
    from isaaclab.assets import RigidObjectCollection
    from isaaclab.scene import InteractiveScene

    from .physics import Engine
    from .sage_env import SageEnv
    from .sage_env_cfg import SageEnvCfg

DEPTH, STACK = 40.0, 5.0
"""How far below the floor copies wait, and how far above each other [m]."""
MIXED_UP = (6, 7, 9)
"""Numbers of bodies that Isaac Lab 3.0's OvPhysX collection mixes up; see :data:`sage_envs.room.OBJECTS`."""


def spawn_copies(cfg: SageEnvCfg, options: Sequence[float]) -> None:
    """Have a scene made with its loose objects in other sizes, too.

    Args:
        cfg: Config with its presets resolved; its scene is changed.
        options: Sizes, from :func:`sage_envs.sizes.spawned`.

    Raises:
        ValueError: The number of bodies is one of :data:`MIXED_UP`.
    """
    objects = dict(cfg.scene.objects.rigid_objects)
    count = len(objects) * len(options)
    if count in MIXED_UP:
        raise ValueError(
            f"object_sizes={sorted(options)}: {len(objects)} objects in {len(options)} sizes are {count} bodies; "
            f"must not be {', '.join(map(str, MIXED_UP))}: name one size more, or less"
        )
    names = [[*objects]]
    everyone, skin = dict(objects), cfg.scene.skin_contacts
    for number, scale in enumerate(options[1:], start=1):
        names.append([f"{name}_size_{number}" for name in objects])
        for place, (name, original) in enumerate(zip(names[-1], objects.values(), strict=True)):
            spawn = original.spawn
            edges = {key: getattr(spawn, key) for key in ("size", "radius", "height") if hasattr(spawn, key)}
            grown = {k: tuple(scale * e for e in v) if k == "size" else scale * v for k, v in edges.items()}
            below = (0.0, 0.0, -DEPTH - STACK * (len(objects) * (number - 1) + place))
            everyone[name] = original.replace(
                prim_path=f"{{ENV_REGEX_NS}}/{name}",
                spawn=spawn.replace(**grown),
                init_state=original.init_state.replace(pos=below),
            )
    cfg.scene.objects = cfg.scene.objects.replace(rigid_objects=everyone)
    filters = [f"{{ENV_REGEX_NS}}/{name}" for row in names[1:] for name in row]
    cfg.scene.skin_contacts = skin.replace(filter_prim_paths_expr=[*skin.filter_prim_paths_expr, *filters])


class Picked:
    """An array of which each world shows some columns."""

    def __init__(self, array: Any, pick: Callable[[Tensor], Tensor]) -> None:
        self._array, self._pick = array, pick

    @property
    def torch(self) -> Tensor:
        """What is shown, as a tensor."""
        return self._pick(self._array.torch)


class View:
    """Stands for something of which only the data are shown otherwise.

    Args:
        whole: What it stands for.
        pick: Shows a tensor of the data, given its name.
    """

    def __init__(self, whole: Any, pick: Callable[[str, Tensor], Tensor]) -> None:
        self._whole, self._pick = whole, pick

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    @property
    def data(self) -> Any:
        """The data, shown otherwise."""
        return _Data(self._whole.data, self._pick)


class _Data:
    def __init__(self, whole: Any, pick: Callable[[str, Tensor], Tensor]) -> None:
        self._whole, self._pick = whole, pick

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._whole, name)
        return Picked(value, lambda tensor: self._pick(name, tensor)) if hasattr(value, "torch") else value


class Copies:
    """Views on a scene made by :func:`spawn_copies`.

    Args:
        scene: The scene, its simulation started; its contact sensors are replaced by views on them.
        count: How many loose objects there are, each counted once.

    Attributes:
        loose: The objects in force, as a collection of them alone.
        parked: Which bodies of the whole collection wait (N, K * B) bool.
    """

    def __init__(self, scene: InteractiveScene, count: int) -> None:
        whole, skin = scene["objects"], scene["skin_contacts"]
        n, bodies, device = scene.num_envs, whole.num_bodies, scene.device
        self._row = torch.arange(n, device=device).unsqueeze(1)
        self._body = torch.arange(count, device=device)
        self.parked = torch.zeros(n, bodies, dtype=torch.bool, device=device)
        self.columns = self._body.repeat(n, 1)
        self._park(self.columns)
        contacts = scene["object_contacts"]
        # The sensor lists bodies as it finds them.
        order = torch.tensor([contacts.body_names.index(name) for name in whole.body_names], device=device)
        self._known, self._extra = len(skin.cfg.filter_prim_paths_expr) - (bodies - count), bodies - count
        self.loose = _Loose(whole, self, scene.env_origins, count)
        scene.sensors["object_contacts"] = View(
            contacts, lambda _, forces: self._of(forces, order[self.columns], forces.dim() - 2)
        )
        scene.sensors["skin_contacts"] = _Skin(skin, self, count)

    def choose(self, sizes: Sizes) -> None:
        """Show the copies of the sizes in force."""
        self.columns = sizes.index * len(self._body) + self._body
        self._park(self.columns)

    def _park(self, columns: Tensor) -> None:
        self.parked[:] = True
        self.parked[self._row, columns] = False

    def _of(self, values: Tensor, columns: Tensor, dim: int) -> Tensor:
        """Columns (N, C) of values (N, ..., all, ...)."""
        return values.movedim(dim, 1)[self._row, columns].movedim(1, dim)

    def partners(self) -> Tensor:
        """Columns of the skin sensor's partners in force (N, M): the objects, then the others."""
        count = len(self._body)
        # The copies of other sizes were named last.
        objects = torch.where(self.columns < count, self.columns, self.columns + self._known - count)
        others = torch.arange(count, self._known, device=objects.device).expand(len(objects), -1)
        return torch.cat([objects, others], dim=1)


class _Loose(View):
    """Each object once; writes put the copies in force somewhere, and all others where they wait."""

    def __init__(self, whole: Any, copies: Copies, origins: Tensor, count: int) -> None:
        super().__init__(whole, lambda _, values: copies._of(values, copies.columns, 1))
        self._copies, self.num_bodies, self.body_names = copies, count, whole.body_names[:count]
        self._waiting = torch.zeros(len(origins), whole.num_bodies, 7, device=origins.device)
        self._waiting[..., 6] = 1.0
        self._waiting[..., :3] = origins.unsqueeze(1)
        self._waiting[..., 2] -= DEPTH + STACK * torch.arange(whole.num_bodies, device=origins.device)

    def _fill(self, rest: Tensor, values: Tensor, ids: Tensor) -> Tensor:
        rest[torch.arange(len(ids), device=ids.device).unsqueeze(1), self._copies.columns[ids]] = values
        return rest

    def write_body_link_pose_to_sim_index(self, body_poses: Tensor, env_ids: Tensor) -> None:
        """As of the collection, of all bodies."""
        ids = env_ids.long()
        rows = self._fill(self._waiting[ids], body_poses, ids)
        self._whole.write_body_link_pose_to_sim_index(body_poses=rows, env_ids=env_ids)

    def write_body_com_velocity_to_sim_index(self, body_velocities: Tensor, env_ids: Tensor) -> None:
        """As of the collection, of all bodies."""
        ids = env_ids.long()
        still = torch.zeros(*self._waiting[ids].shape[:2], 6, device=ids.device)
        rows = self._fill(still, body_velocities, ids)
        self._whole.write_body_com_velocity_to_sim_index(body_velocities=rows, env_ids=env_ids)


class _Skin(View):
    """The skin's partners, each object once."""

    def __init__(self, whole: Any, copies: Copies, count: int) -> None:
        def pick(name: str, forces: Tensor) -> Tensor:
            return copies._of(forces, copies.partners(), forces.dim() - 2) if "matrix" in name else forces

        super().__init__(whole, pick)
        known = whole.cfg.filter_prim_paths_expr[: copies._known]
        self.cfg = whole.cfg.replace(filter_prim_paths_expr=known)
        view = getattr(whole, "contact_view", None)
        if hasattr(view, "read_normal_contact_data"):
            self.contact_view = _Points(view, copies)


class _Points:
    """Single contact points with the partners in force; the engine counts sensor by sensor, world by world."""

    def __init__(self, view: Any, copies: Copies) -> None:
        self._view, self._copies = view, copies
        self.max_contact_data_count, self.sensor_count = view.max_contact_data_count, view.sensor_count
        self.filter_count = copies._known
        device = copies.columns.device
        shape = (view.sensor_count, view.filter_count)
        self._pairs = [wp.zeros(shape, dtype=wp.int32, device=str(device)) for _ in range(2)]

    def read_normal_contact_data(self, *buffers: wp.array) -> None:
        """As of the view."""
        self._view.read_normal_contact_data(*buffers[:-2], *self._pairs)
        columns = self._copies.partners()
        columns = columns.repeat(self.sensor_count // len(columns), 1)
        for shown, whole in zip(buffers[-2:], self._pairs, strict=True):
            wp.to_torch(shown).copy_(wp.to_torch(whole).gather(1, columns))


def sizes_of(env: SageEnv, engine: Engine, options: tuple[float, ...]) -> tuple[Sizes, RigidObjectCollection]:
    """Sizes of an environment's loose objects, and these, as views on their copies where there are some.

    Args:
        env: The environment.
        engine: Its engine.
        options: Sizes, from :func:`sage_envs.sizes.spawned`.
    """
    several = len(options) > 1
    copies = Copies(env.scene, len(env.objects)) if several and not resizes(env.cfg.sim.physics) else None
    loose = env.loose if copies is None else copies.loose

    def follow(sizes: Sizes) -> None:
        if copies is None:
            engine.resize(sizes.scale, max(sizes.options))
        else:
            copies.choose(sizes)
            engine.hold(copies.parked)

    sizes = Sizes(loose, env.objects, options, follow)
    if several:
        follow(sizes)
    return sizes, loose
