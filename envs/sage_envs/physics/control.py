"""Physics at run time, world by world: set, got, and read back from the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .clock import Clock
from .engine import Engine
from .knobs import FRICTION, KNOBS, SIZE, CapabilityError, Scope, knob

if TYPE_CHECKING:
    from ..sizes import Sizes

TIME = "time_step"
ONE_SIZE = "its objects were made in one size; set task.object_sizes, for example [0.5,1,2]"


class PhysicsControl:
    """Set and read the physics in force, world by world.

    Args:
        engine: The engine's own way to do it.
        clock: The physics step of the scene.
        num_envs: How many worlds there are.
        device: Torch device of the environment.
        sizes: Sizes of the loose objects.
    """

    def __init__(self, engine: Engine, clock: Clock, num_envs: int, device: str, sizes: Sizes) -> None:
        self.engine, self._clock, self._num_envs, self._device = engine, clock, num_envs, device
        self._sizes, self._cannot = sizes, dict(engine.cannot)
        if len(sizes.options) == 1:
            self._cannot.setdefault(SIZE, ONE_SIZE)
        self._nominal_gravity = engine.read("gravity")["world"].clone()
        self._values = {name: torch.ones(num_envs, device=device) for name in self.per_world}
        self._values["gravity"] = self._nominal_gravity.clone()
        self._friction = self._read("dynamic_friction_scale")

    # -- any knob ----------------------------------------------------------------------------

    @property
    def capabilities(self) -> dict[str, Scope]:
        """What the engine can do with each knob of :data:`sage_envs.physics.KNOBS`."""
        able = {name: Scope.SCENE if name == TIME else Scope.WORLD for name in KNOBS}
        return able | dict.fromkeys(self._cannot, Scope.ABSENT)

    @property
    def per_world(self) -> tuple[str, ...]:
        """Knobs that worlds have each for themselves."""
        return tuple(name for name, scope in self.capabilities.items() if scope is Scope.WORLD)

    def get(self, name: str) -> Tensor:
        """The value of a knob in force in each world: (N,), gravity (N, 3), of the whole scene ().

        Raises:
            ValueError: Unknown knob.
            CapabilityError: The engine has no such knob.
        """
        self._able(name)
        if name == TIME:
            return torch.tensor(self._clock.time_step, device=self._device)
        return self.gravity if name == "gravity" else self._values[name].clone()

    def in_force(self, name: str) -> dict[str, Tensor]:
        """What a knob comes to, read from the engine now; see :meth:`sage_envs.physics.engine.Engine.read`.

        Raises:
            ValueError: Unknown knob.
            CapabilityError: The engine has no such knob.
        """
        self._able(name)
        return {"scene": self.get(name)} if name == TIME else self._read(name)

    def set(self, name: str, value: Tensor | Sequence[float] | float, env_ids: Tensor | None = None) -> None:
        """Put a knob in force in some worlds; a refused value changes nothing.

        Args:
            name: One of :data:`sage_envs.physics.KNOBS`.
            value: One for all of them, or one a world (n,); gravity (3,) or (n, 3). Its unit and range: see the table.
            env_ids: Worlds (n,); all when None.

        Raises:
            ValueError: Unknown knob, or a value not finite, out of range, or of the wrong shape.
            CapabilityError: The engine has no such knob.
        """
        self.put({name: value}, env_ids)

    def check(self, name: str, values: Sequence[float]) -> None:
        """See whether a knob could be put to some values.

        Raises:
            ValueError: As :meth:`set`.
            CapabilityError: As :meth:`set`.
        """
        self._able(name)
        value = knob(name).check(list(values), len(values), self._device)
        if name == SIZE:
            self._sizes.find(value)

    def put(self, values: Mapping[str, Tensor | Sequence[float] | float], env_ids: Tensor | None = None) -> None:
        """Put several knobs in force at once, all or none; see :meth:`set`."""
        ids = self._ids(env_ids)
        for name in values:
            self._able(name)
        checked = {name: knob(name).check(value, len(ids), self._device) for name, value in values.items()}
        if TIME in checked:
            if env_ids is not None:
                raise CapabilityError(f"physics.{TIME}: one for the whole scene on any engine; leave env_ids out")
            # The first of them: it is one number for all.
            self._clock.set(checked.pop(TIME)[0].item())
        index = self._sizes.find(checked[SIZE]) if SIZE in checked else None
        changed = {name for name, value in checked.items() if not torch.equal(self._values[name][ids], value)}
        if not changed:
            return
        for name in changed:
            self._values[name][ids] = checked[name]
        if SIZE in changed and index is not None:
            self._sizes.put(index.unsqueeze(1).expand_as(self._sizes.index[ids]), ids)
            # Where a mass sits and which body it weighs on follow.
            changed.add("mass_scale")
        self.engine.write(changed, self._values)
        if "dynamic_friction_scale" in changed:
            self._friction = self._read("dynamic_friction_scale")

    def reset(self, env_ids: Tensor | None = None) -> None:
        """Put the nominal physics of worlds back in force; what the whole scene shares stays."""
        ids = self._ids(env_ids)
        self.put({name: self._nominal_gravity[ids] if name == "gravity" else 1.0 for name in self.per_world}, ids)

    def set_object_masses(self, masses: Tensor, env_ids: Tensor | None = None) -> None:
        """Say what the loose objects weigh where ``mass_scale`` is 1: a task's own draw, not undone by a reset.

        Args:
            masses: One an object (n, B) [kg].
            env_ids: Worlds (n,); all when None.

        Raises:
            ValueError: A mass that is not finite and above 0.
        """
        if not bool((torch.isfinite(masses) & (masses > 0)).all()):
            raise ValueError(f"object_masses={masses.tolist()}: must be finite and above 0 [kg]")
        self.engine.masses.set_nominal(masses, self._ids(env_ids))
        self.engine.write({"mass_scale"}, self._values)

    @property
    def object_sizes(self) -> tuple[float, ...]:
        """Values that ``size_scale`` can have, ascending; 1 alone where it cannot be set."""
        return tuple(sorted(self._sizes.options))

    def set_object_sizes(self, scale: Tensor, env_ids: Tensor | None = None) -> None:
        """Give single objects other sizes than their worlds', until ``size_scale`` changes there.

        Args:
            scale: Factors (n, B), each one of :attr:`object_sizes`.
            env_ids: Worlds (n,); all when None.

        Raises:
            ValueError: A size that the scene was not made with.
            CapabilityError: It was made with one.
        """
        self._able(SIZE)
        self._sizes.put(self._sizes.find(scale), self._ids(env_ids))
        self.engine.write({"mass_scale"}, self._values)

    def before_step(self) -> None:
        """Apply what has to be applied anew each physics step."""
        self.engine.before_step()

    # -- gravity and friction, by name -------------------------------------------------------

    @property
    def gravity(self) -> Tensor:
        """Gravity in force, as the engine has it (N, 3) [m/s^2]."""
        return self.engine.read("gravity")["world"]

    @property
    def friction(self) -> dict[str, Tensor]:
        """Dynamic friction in force, as the engine had it after the last change: asset -> (N, shapes)."""
        return {name: value.clone() for name, value in self._friction.items()}

    @property
    def friction_scale(self) -> Tensor:
        """Scale on the nominal dynamic friction of a world (N,)."""
        return self._values["dynamic_friction_scale"].clone()

    @property
    def nominal_gravity(self) -> Tensor:
        """Gravity the scene was made with (N, 3) [m/s^2]."""
        return self._nominal_gravity.clone()

    def set_gravity(self, gravity: Tensor | Sequence[float], env_ids: Tensor | None = None) -> None:
        """Put a gravity in force in some worlds.

        Args:
            gravity: Vector (3,) or one a world (n, 3) [m/s^2], each at most 100 m/s^2 long.
            env_ids: Worlds (n,); all when None.

        Raises:
            ValueError: Not finite, too strong, or of the wrong shape.
        """
        self.set("gravity", gravity, env_ids)

    def set_friction_scale(self, scale: Tensor | float, env_ids: Tensor | None = None) -> None:
        """Scale all nominal friction of some worlds, static and dynamic.

        Args:
            scale: One factor or one a world (n,), in 0..10.
            env_ids: Worlds (n,); all when None.

        Raises:
            ValueError: Not finite, out of range, or of the wrong shape.
        """
        self.put({name: scale for name in FRICTION if name in self._values}, env_ids)

    def _read(self, name: str) -> dict[str, Tensor]:
        if name == SIZE:
            return {"objects": self._sizes.edges}
        # Of objects that are there in several sizes the first ones; the others are alike.
        count = self._sizes.index.shape[1]
        return {k: v[:, :count] if k == "objects" else v for k, v in self.engine.read(name).items()}

    def _able(self, name: str) -> None:
        why = self._cannot.get(knob(name).name)
        if why is not None:
            raise CapabilityError(f"physics.{name}: {self.engine.name} cannot set it: {why}")

    def _ids(self, env_ids: Tensor | None) -> Tensor:
        if env_ids is None:
            return torch.arange(self._num_envs, device=self._device)
        return torch.as_tensor(env_ids, device=self._device).long()
