"""Contact forces on an upright cylinder and how its taxels share them, compiled."""

from __future__ import annotations

import math

import warp as wp
from torch import Tensor

from ..kernel import Kernel

wp.set_module_options({"enable_backward": False})

LEAST = 1e-3
"""Below this the difference of large forces is rounding, not touch [N]."""
_PI = math.pi


@wp.kernel
def _partner_forces(named: wp.array4d[wp.vec3f], net: wp.array3d[wp.vec3f], forces: wp.array3d[wp.vec3f]):
    world, tick = wp.tid()
    partners = named.shape[3]
    rest = net[world, tick, 0]
    for partner in range(partners):
        force = named[world, tick, 0, partner]
        forces[world, tick, partner] = force
        rest = rest - force
    rest = wp.vec3f(rest[0], rest[1], 0.0)
    if wp.length(rest) <= LEAST:
        rest = wp.vec3f(0.0)
    forces[world, tick, partners] = rest


_launch_forces = Kernel(_partner_forces, named=wp.vec3f, net=wp.vec3f, forces=wp.vec3f)


def partner_forces(named: Tensor, net: Tensor, ticks: int) -> Tensor:
    """Force of each partner on a link; the last one is whatever has no name, of which only the horizontal part counts.

    Args:
        named: Force of each named partner, newest physics step first (N, H, 1, M, 3) [N].
        net: Sum of all forces (N, H, 1, 3) [N].
        ticks: Physics steps wanted.

    Returns:
        Newest physics step first (N, ticks, M + 1, 3) [N].
    """
    forces = named.new_empty(len(named), ticks, named.shape[3] + 1, 3)
    _launch_forces((len(named), ticks), named, net, forces)
    return forces


@wp.func
def _around(turn: float, whole: float) -> float:
    """The shorter way around, in sectors."""
    return turn - whole * wp.floor(turn / whole + 0.5)


@wp.func
def _bell(taxels: float) -> float:
    """A Gaussian of one taxel."""
    return wp.exp(-0.5 * taxels * taxels)


@wp.kernel
def _spread(
    forces: wp.array3d[wp.vec3f],
    quat: wp.array[wp.quatf],
    height: wp.array2d[float],
    half: wp.array2d[float],
    bottom: float,
    top: float,
    sectors: int,
    rows: int,
    taxels: wp.array3d[float],
):
    world = wp.tid()
    ticks, known = forces.shape[1], half.shape[1]
    for partner in range(forces.shape[2]):
        force = wp.vec3f(0.0)
        for tick in range(ticks):
            force = force + forces[world, tick, partner]
        force = wp.quat_rotate_inv(quat[world], force / float(ticks))
        if force[0] != 0.0 or force[1] != 0.0:
            # Where nothing is known of the partner it is as high as the skin.
            low, high = bottom, top
            if partner < known:
                # A partner above or below (a box on the lid) touches the nearest rim.
                low = wp.clamp(height[world, partner] - half[world, partner], bottom, top)
                high = wp.clamp(height[world, partner] + half[world, partner], bottom, top)
            azimuth = wp.atan2(-force[1], -force[0]) * float(sectors) / (2.0 * _PI)
            middle = (0.5 * (low + high) - bottom) * float(rows) / (top - bottom) - 0.5
            across, along = wp.float32(0.0), wp.float32(0.0)
            for sector in range(sectors):
                across += _bell(_around(azimuth - float(sector), float(sectors)))
            for row in range(rows):
                along += _bell(middle - float(row))
            share = wp.length(force) / (across * along)
            for sector in range(sectors):
                part = share * _bell(_around(azimuth - float(sector), float(sectors)))
                for row in range(rows):
                    taxels[world, sector, row] = taxels[world, sector, row] + part * _bell(middle - float(row))


_launch_spread = Kernel(_spread, forces=wp.vec3f, quat=wp.quatf)


def spread(
    forces: Tensor, quat: Tensor, height: Tensor, half: Tensor, bottom: float, top: float, sectors: int, rows: int
) -> Tensor:
    """Spread contact forces over the taxels.

    Args:
        forces: Force of each partner at some physics steps, of which the mean counts (N, ticks, M, 3) [N].
        quat: How the cylinder is turned, xyzw (N, 4).
        height: Height of the first partners' middles above the cylinder's origin (N, K) [m].
        half: Half their heights (N, K) [m].
        bottom: Lower edge of the skin above the origin [m].
        top: Upper edge [m].
        sectors: Taxels around; taxel 0 faces forward (+x), counting counter-clockwise.
        rows: Taxels from bottom to top.

    Returns:
        Force on each taxel (N, sectors * rows) [N], row-major by sector.
    """
    taxels = forces.new_zeros(len(forces), sectors, rows)
    edges = (bottom, top, sectors, rows)
    _launch_spread((len(forces),), forces, quat.contiguous(), height, half, *edges, taxels)
    return taxels.flatten(1)
