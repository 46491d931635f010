"""What each pixel shows: class and instance, ground truth for probes and tests.

Ask the camera for it as in Isaac Lab: ``"semantic_segmentation"`` and ``"instance_segmentation"`` among its
``data_types``. The renderers number classes and instances as they come; here they get numbers that stay.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ..sage_env import SageEnv

KINDS = ("semantic_segmentation", "instance_segmentation")
CLASSES = ("nothing", "floor", "wall", "obstacle", "box", "ball", "cylinder", "goal", "robot", "person", "table")
"""Semantic classes by number: the ``class`` tag that a spawner gave its asset."""

PIXELS = "object_pixels"

_ENTITY = re.compile(r"/World/envs/env_\d+/([^/]+)")


class Segmentation:
    """Segmentation of all worlds' pictures.

    Args:
        env: The environment, its simulation started; its camera was asked for all of :data:`KINDS`.

    Attributes:
        instances: Names of the scene's entities by number; number 0 is none of them.
    """

    def __init__(self, env: SageEnv) -> None:
        self._camera = env.scene["camera"]
        height, width = self._camera.cfg.height, self._camera.cfg.width
        self._shape = (env.num_envs, height, width)
        self._objects = [thing.name for thing in env.objects]
        self.instances: tuple[str, ...] = ("none",)
        self._tables: dict[str, Tensor] = {}

    @staticmethod
    def asked(env: SageEnv) -> bool:
        """Whether the camera was asked for segmentation."""
        return set(KINDS) <= set(env.scene["camera"].cfg.data_types)

    def empty(self) -> dict[str, Tensor]:
        """Pictures of nothing: what :meth:`read` gives, for its shapes and dtypes."""
        nothing = torch.zeros(self._shape, dtype=torch.uint8, device=self._camera.device)
        return {kind: nothing.clone() for kind in KINDS} | {
            PIXELS: torch.zeros(len(nothing), len(self._objects), device=nothing.device)
        }

    def read(self) -> dict[str, Tensor]:
        """Of the last look: numbers of :data:`CLASSES` and of :attr:`instances`, each (N, H, W) uint8.

        And how many pixels each loose object has, (N, B) float32.
        """
        if not self._tables:
            self._build()
        output = self._camera.data.output
        read = {kind: self._tables[kind][output[kind].torch[..., 0].long()] for kind in KINDS}
        # A loose object that was never seen has no number yet, and no pixel.
        numbers = [self.instances.index(name) if name in self.instances else -1 for name in self._objects]
        instance = read["instance_segmentation"].flatten(1)
        pixels = torch.stack([(instance == number).sum(1) for number in numbers], 1)
        return read | {PIXELS: pixels.float()}

    def _build(self) -> None:
        """From the renderer's numbers to ours."""
        info = self._camera.data.info
        classes = {number: self._class(label) for number, label in info[KINDS[0]]["idToLabels"].items()}
        paths = {number: _ENTITY.match(str(path)) for number, path in info[KINDS[1]]["idToLabels"].items()}
        names = sorted({match[1] for match in paths.values() if match})
        self.instances = ("none", *names)
        entities = {number: self.instances.index(match[1]) if match else 0 for number, match in paths.items()}
        for kind, numbers in zip(KINDS, (classes, entities), strict=True):
            table = torch.zeros(max(numbers) + 1, dtype=torch.uint8, device=self._camera.device)
            for number, ours in numbers.items():
                table[number] = ours
            self._tables[kind] = table

    @staticmethod
    def _class(label: object) -> int:
        name = label.get("class", "") if isinstance(label, dict) else ""
        return CLASSES.index(name) if name in CLASSES else 0
