"""A world's bodies in motion: where each is, by the ground truth that travels with every look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

FILE = "scene.json"


class Scene:
    """A world as :class:`sage_ext.environment.Visible` describes it.

    Args:
        description: See :func:`sage_envs.scene_description.describe`.

    Attributes:
        shapes: What is drawn.
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.shapes: list[dict[str, Any]] = list(description["shapes"])
        self._bodies: list[dict[str, Any]] = list(description["bodies"])
        self._joints: list[dict[str, Any]] = list(description["joints"])

    @classmethod
    def read(cls, folder: Path) -> Scene | None:
        """The scene of a run; None where its environment described none."""
        try:
            return cls(json.loads((folder / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def poses(self, truth: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Where each body is in the world's frame.

        Args:
            truth: Name -> ground truth of one world.

        Returns:
            Body -> position [m] and quaternion xyzw (7,).
        """
        flat = {name: np.asarray(value, np.float64).ravel() for name, value in truth.items()}
        found, told = {}, set()
        for body in self._bodies:
            pose = np.array(body["pose"], np.float64)
            for follow in body["follows"]:
                values = flat.get(follow["truth"])
                if values is not None:
                    pose[list(follow["sets"])] = values[follow["first"] : follow["first"] + len(follow["sets"])]
                    told.add(body["name"])
            found[body["name"]] = pose
        # Whatever nothing is told of hangs on its joint, from the base outwards.
        rest = [j for j in self._joints if j["child"] not in told and j["child"] in found and j["parent"] in found]
        while rest:
            waiting = {joint["child"] for joint in rest}
            ready = [joint for joint in rest if joint["parent"] not in waiting]
            if not ready:
                break
            for joint in ready:
                found[joint["child"]] = _hang(found[joint["parent"]], joint, flat)
            rest = [joint for joint in rest if joint not in ready]
        return found

    def extent(self) -> float:
        """How far the shapes reach from the middle [m]."""
        reach = [max(abs(c) for c in shape["pose"][:2]) for shape in self.shapes if shape["body"] is None]
        return max([1.0, *reach])


def _hang(parent: np.ndarray, joint: Mapping[str, Any], truth: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pose of a joint's child."""
    by = 0.0
    for follow in joint["follows"]:
        if follow["truth"] in truth:
            by = float(truth[follow["truth"]][follow["first"]])
    motion = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    if joint["kind"] == "prismatic":
        motion[joint["axis"]] = by
    elif joint["kind"] == "revolute":
        motion[3 + joint["axis"]], motion[6] = np.sin(by / 2), np.cos(by / 2)
    inner = np.array(joint["in_child"], np.float64)
    back = np.array([*-rotated(inner[3:] * [-1, -1, -1, 1], inner[:3]), *(inner[3:] * [-1, -1, -1, 1])])
    return after(after(after(parent, np.array(joint["in_parent"], np.float64)), motion), back)


def after(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The pose ``second`` (7,), given in the frame of ``first`` (7,), in the frame that ``first`` is given in."""
    (x, y, z, w), (a, b, c, d) = first[3:], second[3:]
    turn = [w * a + x * d + y * c - z * b, w * b - x * c + y * d + z * a, w * c + x * b - y * a + z * d]
    return np.array([*(first[:3] + rotated(first[3:], second[:3])), *turn, w * d - x * a - y * b - z * c])


def rotated(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """A vector (3,) turned by a quaternion xyzw (4,)."""
    across = 2.0 * np.cross(quat[:3], vector)
    result: np.ndarray = vector + quat[3] * across + np.cross(quat[:3], across)
    return result
