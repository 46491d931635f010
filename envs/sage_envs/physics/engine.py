"""What an engine has to offer for physics control, and which one runs a scene."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from .assets import Masses

if TYPE_CHECKING:
    from isaaclab.assets import Articulation, RigidObjectCollection
    from isaaclab.scene import InteractiveScene


class Engine(Protocol):
    """One engine's way to set and read physics.

    Attributes:
        name: As in ``physics=...``.
        cannot: Knob -> why this engine has none, and what to do instead.
        masses: Masses of the loose objects.
    """

    name: str
    cannot: Mapping[str, str]
    masses: Masses

    def write(self, changed: Set[str], values: Mapping[str, Tensor]) -> None:
        """Put knobs in force.

        Args:
            changed: Those that changed.
            values: All that are set per world, knob -> (N,), gravity (N, 3).
        """

    def resize(self, scale: Tensor, largest: float) -> None:
        """Give the loose objects other sizes, where shapes are not cooked; masses are to be written after.

        Args:
            scale: Factors on what the scene was made with (N, B).
            largest: The greatest there will be.
        """

    def hold(self, parked: Tensor) -> None:
        """Let some bodies of the loose objects' collection (N, K * B) hang weightless; masses must be written after."""

    def read(self, knob: str) -> dict[str, Tensor]:
        """What is in force, as the engine has it.

        Gravity [m/s^2] under ``world`` (N, 3); coefficients of shapes under ``objects`` and ``robot``
        (N, shapes); masses [kg] under ``objects`` (N, B); effort limits of joints under ``robot`` (N, J).
        """

    def before_step(self) -> None:
        """Called once before every physics step."""


def make_engine(scene: InteractiveScene, manager: type, robot: Articulation, loose: RigidObjectCollection) -> Engine:
    """Physics control of the engine that runs the scene.

    Args:
        scene: The scene, its simulation started.
        manager: Isaac Lab's physics manager in charge.
        robot: The robot.
        loose: The loose objects.

    Raises:
        ValueError: The engine is none of those known.
    """
    name = manager.__name__
    if name == "OvPhysxManager":
        from .ovphysx import OvPhysxEngine

        return OvPhysxEngine(scene, robot, loose)
    if name.startswith("Newton"):
        from .newton import NewtonEngine

        return NewtonEngine(scene, robot, loose)
    if name == "PhysxManager":
        from .isaacsim import IsaacSimEngine

        return IsaacSimEngine(scene, robot, loose)
    raise ValueError(f"physics={name}: physics control is known for ovphysx, newton_mjwarp and isaacsim_physx")
