"""What a task adds to the shared base of all environments."""

from __future__ import annotations

from abc import abstractmethod

import torch
from isaaclab.envs import DirectRLEnv
from torch import Tensor

from .rearrange import Ground
from .scene_description import POSE, Follow
from .scene_parts import Thing
from .senses.audio import Source
from .senses.hearing import no_sounds
from .senses.paths import Barriers
from .senses.touch import Touch


class Task(DirectRLEnv):
    """Actions, rewards, ends and resets, as Isaac Lab has them, and what follows.

    A task names its loose objects, which come first among the partners of the ``skin_contacts`` sensor, and where its
    robot's senses sit.
    """

    objects: tuple[Thing, ...]
    camera_link = "chassis"
    """Link that carries the camera and the ears."""
    imu_link = "chassis"
    shell, shell_size = "plastic", 0.2
    """Material and size [m] of the links that feel, for the sound they make when struck."""
    other_sources: tuple[Source, ...] = ()
    """What sounds beside objects, links and motors; see :meth:`other_sounds`."""
    time_odd: tuple[str, ...] = ()
    """Proprioceptive entries that change sign when time runs backwards: velocities."""
    drives: tuple[str, ...] = ()
    """Proprioceptive entries of what moves the robot's body: wheels, joints."""

    @property
    def num_objects(self) -> int:
        """How many loose objects a world has."""
        return len(self.objects)

    @property
    @abstractmethod
    def action_width(self) -> int:
        """Numbers in one action."""

    @abstractmethod
    def _write_action(self) -> None:
        """Hand :attr:`last_action` to the actuators."""

    @abstractmethod
    def _critic(self) -> dict[str, Tensor]:
        """Named ground truth, each (N, ...) float32; never read by training."""

    @abstractmethod
    def _proprioception(self) -> dict[str, Tensor]:
        """Named entries of the proprioceptive sense, each (N, k) in SI units."""

    @abstractmethod
    def make_touch(self) -> Touch:
        """The robot's sense of touch."""

    @abstractmethod
    def sought(self) -> Tensor:
        """The way from what the robot acts with to what its episode is about (N, 3) [m].

        In the frame in which it is told its goals.
        """

    def meant(self) -> Tensor:
        """Which of the loose objects :meth:`sought` leads to (N,); -1 where it is none."""
        return torch.full((self.num_envs,), -1, device=self.device)

    def followed(self) -> dict[str, list[Follow]]:
        """What under ``critic`` tells where bodies and joints are, by their prims' names; for viewers."""
        return {t.name: [Follow("object_pose", len(POSE) * i, POSE)] for i, t in enumerate(self.objects)}

    def other_sounds(self, ticks: int) -> tuple[Tensor, Tensor]:
        """What :attr:`other_sources` did in the last physics steps.

        Args:
            ticks: How many.

        Returns:
            Impulses (N, E, ticks) [N s], oldest step first, and where they are now (N, E, 3) [m].
        """
        return no_sounds(self.num_envs, ticks, self.device)

    def barriers(self) -> Barriers | None:
        """What blocks sound now."""
        return None

    def refurnished(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Remembered moments (n, S) with what stands fixed elsewhere; a task in which nothing can returns them."""
        return rows

    @abstractmethod
    def ground(self, rows: Tensor) -> Ground:
        """Where loose objects can lie in remembered moments (n, S)."""

    @abstractmethod
    def task_state(self) -> dict[str, Tensor]:
        """What the task adds to a snapshot, each (N, k)."""

    @abstractmethod
    def set_task_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`task_state` for some worlds."""

    @abstractmethod
    def _reset_task(self, env_ids: Tensor) -> None:
        """Place everything anew in some worlds."""
