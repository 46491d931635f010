"""The ways from sounds to ears: how long they are, and how much of the pressure arrives.

A cardioid picks up (1 + cos angle) / 2 of the pressure. What stands between a sound and an ear takes 10 dB of it, as a
thin screen does to middle frequencies that bend a little around it (Z. Maekawa, "Noise reduction by screens",
Applied Acoustics 1, 1968).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import warp as wp
from torch import Tensor

from ..kernel import Kernel

wp.set_module_options({"enable_backward": False})

SCREEN = 10.0 ** (-10.0 / 20.0)
"""Share of the pressure that gets past what stands between: -10 dB."""


class Barriers(NamedTuple):
    """Upright boxes that block sound, in the frame of the scene.

    Attributes:
        centre: Middle of each (N, O, 3) [m].
        half: Half its edges (O, 3) [m].
        yaw: Turn about the vertical (N, O) [rad].
    """

    centre: Tensor
    half: Tensor
    yaw: Tensor


@wp.func
def _turned(point: wp.vec3f, yaw: float) -> wp.vec3f:
    """Coordinates of a point in a frame that is turned about the vertical."""
    c, s = wp.cos(yaw), wp.sin(yaw)
    return wp.vec3f(c * point[0] + s * point[1], c * point[1] - s * point[0], point[2])


@wp.func
def _blocks(ear: wp.vec3f, source: wp.vec3f, centre: wp.vec3f, half: wp.vec3f, yaw: float) -> bool:
    """Whether the straight way meets a box."""
    start, way = _turned(ear - centre, yaw), _turned(source - ear, yaw)
    # Slabs: the part of the way (0..1) that lies between each pair of opposite faces.
    enter, leave = wp.float32(-1.0e30), wp.float32(1.0e30)
    for axis in range(3):
        step = float(way[axis])
        if wp.abs(step) < 1.0e-9:
            step = wp.float32(1.0e-9)
        one, other = (-half[axis] - start[axis]) / step, (half[axis] - start[axis]) / step
        enter, leave = wp.max(enter, wp.min(one, other)), wp.min(leave, wp.max(one, other))
    return enter < leave and leave > 0.0 and enter < 1.0


@wp.kernel
def _paths(
    head: wp.array[wp.vec3f],
    turn: wp.array[wp.quatf],
    ears: wp.array[wp.vec3f],
    ahead: wp.array[wp.vec3f],
    sources: wp.array2d[wp.vec3f],
    centre: wp.array2d[wp.vec3f],
    half: wp.array[wp.vec3f],
    yaw: wp.array2d[float],
    screen: float,
    distances: wp.array2d[float],
    gains: wp.array2d[float],
):
    row, source = wp.tid()
    world, side = row // ears.shape[0], row % ears.shape[0]
    ear = head[world] + wp.quat_rotate(turn[world], ears[side])
    place = sources[world, source]
    way = place - ear
    distance = wp.length(way)
    gain = 0.5 * (1.0 + wp.dot(way, wp.quat_rotate(turn[world], ahead[side])) / wp.max(distance, 1.0e-3))
    blocked = wp.bool(False)
    for box in range(half.shape[0]):
        if not blocked:
            blocked = _blocks(ear, place, centre[world, box], half[box], yaw[world, box])
    if blocked:
        gain = gain * screen
    distances[row, source] = distance
    gains[row, source] = gain


_vectors = ("head", "ears", "ahead", "sources", "centre", "half")
_launch = Kernel(_paths, turn=wp.quatf, **dict.fromkeys(_vectors, wp.vec3f))


def paths(
    head: Tensor, turn: Tensor, ears: Tensor, ahead: Tensor, sources: Tensor, barriers: Barriers | None, out: Tensor
) -> None:
    """Ways from each source to each ear.

    Args:
        head: Middle between the ears (N, 3) [m].
        turn: How the head is turned, xyzw (N, 4).
        ears: Where the ears are in its frame (E, 3) [m].
        ahead: Where they point there, unit vectors (E, 3).
        sources: Places of what sounds (N, B, 3) [m].
        barriers: What stands about, if anything does.
        out: Gets distances [m] and shares of the pressure that arrive (2, N * E, B), world by world.
    """
    if barriers is None:
        nothing = sources.new_zeros(len(head), 0, 3)
        barriers = Barriers(nothing, sources.new_zeros(0, 3), nothing[..., 0])
    places = (head, turn, ears, ahead, sources, barriers.centre, barriers.half, barriers.yaw)
    _launch(tuple(out.shape[1:]), *(place.contiguous() for place in places), SCREEN, out[0], out[1])


def upright(centre: Tensor, quat: Tensor, half: Tensor) -> Barriers:
    """Barriers of upright boxes.

    Args:
        centre: Their middles (N, O, 3) [m].
        quat: Their turns xyzw (N, O, 4), about the vertical.
        half: Half the edges of each (O, 3) [m].
    """
    return Barriers(centre, half, 2.0 * torch.atan2(quat[..., 2], quat[..., 3]))
