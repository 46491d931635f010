"""Remembered episodes as a Rerun recording (https://rerun.io): the scene, the senses and what was rewarded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rerun as rr
from tensordict import TensorDict

from ..config_checks import STEPS_PER_SECOND
from ..errors import SageError
from ..memory import Memory
from ..runs import Run
from . import pictures
from .publish import FOLDER
from .scene import Scene

MOST_EPISODES = 16
"""The newest so many episodes are written."""


def export_rerun(path: Path, out: Path) -> tuple[int, int]:
    """Write the newest episodes that a run remembers, whole or not at all.

    Each episode follows the one before on the timeline ``time``; ``look`` counts.

    Args:
        path: The run's folder.
        out: File to write, ``.rrd``.

    Returns:
        How many episodes, and how many looks.

    Raises:
        SageError: Nothing is remembered, the memory is in use, or the file cannot be written.
    """
    run = Run.open(path, lock=False)
    if not (run.memory / "meta.json").is_file():
        raise SageError("run", path, "has no memory", "sage-ext wake makes a run that has one")
    scene = Scene.read(path / FOLDER)
    temporary = out.with_name(f".{out.name}.new")
    with Memory.open(run.memory) as memory:
        episodes = memory.episodes[-MOST_EPISODES:]
        if not episodes:
            raise SageError("run", path, "remembers no whole episode", "let it wake for longer")
        try:
            temporary.touch()
            recording = rr.RecordingStream("sage-ext", recording_id=path.name)
            recording.save(temporary)
            if scene is not None:
                _draw(recording, scene)
            look = 0
            for episode in episodes:
                recording.log("episode", rr.TextLog(f"episode {episode.id} of world {episode.world}"))
                look = _episode(recording, memory.episode(episode, _KEYS), scene, look)
            recording.flush()
            recording.disconnect()
            os.replace(temporary, out)
        except OSError as error:
            raise SageError("out", out, f"cannot be written ({error.strerror})", "name another file") from error
        finally:
            temporary.unlink(missing_ok=True)
    return len(episodes), look


_KEYS = ["observation", "critic", "action", "reward"]


def _episode(recording: Any, steps: TensorDict, scene: Scene | None, look: int) -> int:
    """Log one episode from a number of looks on; the number after it."""
    for step in range(len(steps)):
        row = steps[step]
        recording.set_time("look", sequence=look)
        recording.set_time("time", duration=look / STEPS_PER_SECOND)
        senses = {name: row["observation", name].numpy() for name in row["observation"].keys()}  # noqa: SIM118
        truth = {name: row["critic", name].numpy() for name in row["critic"].keys()}  # noqa: SIM118
        _senses(recording, senses)
        recording.log("reward", rr.Scalars(float(row["reward"])))
        recording.log("action", rr.Scalars(row["action"].tolist()))
        if scene is not None:
            for name, pose in scene.poses(truth).items():
                recording.log(f"world/{name}", _transform(pose))
        look += 1
    return look


def _senses(recording: Any, senses: Mapping[str, np.ndarray]) -> None:
    if "visual" in senses:
        recording.log("senses/visual", rr.Image(senses["visual"]))
    if "depth" in senses:
        recording.log("senses/depth", rr.DepthImage(senses["depth"][..., 0], meter=1.0))
    if "audio" in senses:
        recording.log("senses/audio", rr.Tensor(pictures.spectrum(senses["audio"]), dim_names=("band", "frame")))
    if "tactile" in senses and len(senses["tactile"]) == np.prod(pictures.TAXELS):
        recording.log("senses/tactile", rr.Tensor(pictures.taxel_map(senses["tactile"]), dim_names=("row", "column")))
    if "proprioceptive" in senses:
        recording.log("senses/proprioceptive", rr.Scalars(senses["proprioceptive"].tolist()))


def _draw(recording: Any, scene: Scene) -> None:
    recording.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
    for number, shape in enumerate(scene.shapes):
        name = "world/" + (f"{shape['body']}/" if shape["body"] else "") + f"shape_{number}"
        recording.log(name, _transform(np.asarray(shape["pose"])), _solid(shape), static=True)


def _solid(shape: Mapping[str, Any]) -> Any:
    kind, size = shape["kind"], shape["size"]
    look: dict[str, Any] = {"colors": [[round(255 * c) for c in shape["color"]]], "fill_mode": "solid"}
    if kind == "box":
        return rr.Boxes3D(sizes=[size], **look)
    if kind == "sphere":
        return rr.Ellipsoids3D(radii=[size[0]], **look)
    if kind == "cylinder":
        return rr.Cylinders3D(radii=[size[0]], lengths=[size[1]], **look)
    if kind == "capsule":
        # Rerun's begins at its lower sphere's centre.
        return rr.Capsules3D(radii=[size[0]], lengths=[size[1]], translations=[[0, 0, -size[1] / 2]], **look)
    points = np.asarray(shape["points"], np.float32)
    colour = np.tile(np.asarray(look["colors"][0], np.uint8), (len(points), 1))
    return rr.Mesh3D(vertex_positions=points, triangle_indices=shape["faces"], vertex_colors=colour)


def _transform(pose: np.ndarray) -> Any:
    return rr.Transform3D(translation=pose[:3], quaternion=rr.Quaternion(xyzw=pose[3:]))
