"""A world's shapes as nodes of a viser scene."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from viser import SceneApi

from .scene import Scene


def draw(nodes: SceneApi, scene: Scene) -> dict[str, Any]:
    """Draw a world anew.

    Args:
        nodes: Emptied first.
        scene: The world.

    Returns:
        Body -> the frame that carries its shapes.
    """
    nodes.reset()
    nodes.set_up_direction("+z")
    frames = {name: nodes.add_frame(f"/{name}", show_axes=False) for name in scene.poses({})}
    for number, shape in enumerate(scene.shapes):
        parent = f"/{shape['body']}" if shape["body"] in frames else ""
        _add(nodes, f"{parent}/shape_{number}", shape)
    return frames


def _add(nodes: SceneApi, name: str, shape: Mapping[str, Any]) -> None:
    kind, size, pose = shape["kind"], shape["size"], shape["pose"]
    look: dict[str, Any] = {
        "color": tuple(round(255 * c) for c in shape["color"]),
        "position": tuple(pose[:3]),
        "wxyz": (pose[6], *pose[3:6]),
    }
    if kind == "box":
        nodes.add_box(name, dimensions=tuple(size), **look)
    elif kind == "sphere":
        nodes.add_icosphere(name, radius=size[0], **look)
    elif kind == "cylinder":
        nodes.add_cylinder(name, radius=size[0], height=size[1], **look)
    elif kind == "capsule":
        from trimesh.creation import capsule

        body = capsule(radius=size[0], height=size[1], count=(12, 12))
        middle = body.vertices - body.bounds.mean(axis=0)
        nodes.add_mesh_simple(name, vertices=middle.astype(np.float32), faces=body.faces.astype(np.uint32), **look)
    elif kind == "mesh" and shape["faces"]:
        points, faces = np.array(shape["points"], np.float32), np.array(shape["faces"], np.uint32)
        nodes.add_mesh_simple(name, vertices=points, faces=faces, **look)
