"""Noise of scraping and rolling, as one compiled loop over bodies that rub."""

from __future__ import annotations

import warp as wp
from torch import Tensor

from ..kernel import Kernel

wp.set_module_options({"enable_backward": False})


@wp.kernel
def _rub(
    levels: wp.array4d[float],
    noise: wp.array3d[float],
    block: wp.array2d[float],
    emitted: wp.array3d[float],
):
    body, world = wp.tid()
    steps = levels.shape[3] - 1
    length = emitted.shape[2] // steps
    blocks = noise.shape[2] // length
    for kind in range(levels.shape[1]):
        for step in range(steps):
            begin, end = levels[world, kind, body, step], levels[world, kind, body, step + 1]
            if begin > 0.0 or end > 0.0:
                change = (end - begin) / float(length)
                start, first = step * length, (int(block[world, 0]) + step) % blocks * length
                for sample in range(length):
                    emitted[body, world, start + sample] += noise[kind, body, first + sample] * (
                        begin + change * float(sample + 1)
                    )


_launch = Kernel(_rub)


def rub(levels: Tensor, noise: Tensor, block: Tensor, emitted: Tensor) -> None:
    """Add the noise of rubbing to what bodies emit.

    Args:
        levels: Amplitudes of scraping and rolling at the end of the last step and of each of these, between which they
            go linearly (N, 2, B, S + 1) [Pa m].
        noise: Loops of whole blocks as long as a step (2, B, blocks * P).
        block: Of the loops that comes first (N, 1), a whole number.
        emitted: Gets the sum (B, N, S * P) [Pa m].
    """
    _launch(tuple(emitted.shape[:2]), levels, noise, block, emitted)
