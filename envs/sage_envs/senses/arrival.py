"""How sound gets from bodies to microphones: later and weaker, as one compiled loop over what each microphone hears."""

from __future__ import annotations

import warp as wp
from torch import Tensor

from ..kernel import Kernel

wp.set_module_options({"enable_backward": False})


@wp.kernel
def _arrive(
    emitted: wp.array3d[float],
    loud: wp.array2d[bool],
    impulse: wp.array3d[float],
    distance: wp.array3d[float],
    gain: wp.array2d[float],
    kept_weight: wp.array3d[float],
    kept_delay: wp.array3d[float],
    arriving: wp.array2d[float],
    nearest: float,
    slow: float,
    latest: float,
    slack: float,
):
    row = wp.tid()
    ears, steps = kept_weight.shape[1], impulse.shape[2]
    world, ear = row // ears, row % ears
    length = emitted.shape[2] // steps
    for body in range(emitted.shape[0]):
        held, begin = float(kept_delay[world, ear, body]), float(kept_weight[world, ear, body])
        if begin < 0.0:
            begin = gain[row, body] / wp.max(distance[row, body, 0], nearest)
        for step in range(steps):
            # A steady sound keeps its delay, for a jump would click; a strike masks the click and sets it right.
            late = wp.min(wp.rint(distance[row, body, step] * slow), latest)
            if impulse[world, body, step] > 0.0 or wp.abs(late - held) > slack:
                held = late
            end = gain[row, body] / wp.max(distance[row, body, step], nearest)
            change = (end - begin) / float(length)
            start, first = step * length, step * length + int(held)
            if loud[world, body]:
                for sample in range(length):
                    arriving[row, first + sample] += emitted[body, world, start + sample] * (
                        begin + change * float(sample + 1)
                    )
            begin = end
        kept_delay[world, ear, body] = held
        kept_weight[world, ear, body] = begin


_launch = Kernel(_arrive)


def arrive(
    emitted: Tensor,
    loud: Tensor,
    impulse: Tensor,
    distance: Tensor,
    gain: Tensor,
    kept_weight: Tensor,
    kept_delay: Tensor,
    arriving: Tensor,
    nearest: float,
    slow: float,
    latest: float,
    slack: float,
) -> None:
    """Add what bodies emit to what arrives at N * E microphones.

    Attenuation goes linearly from the end of one step to the end of the next.

    Args:
        emitted: Pressure at 1 m of each body, S steps of P samples (B, N, S * P) [Pa m].
        loud: Which of them sound at all (N, B) bool.
        impulse: Above 0 where a strike begins with a step (N, B, S).
        distance: At the ends of the steps (N * E, B, S) [m].
        gain: Share of the pressure that gets past what stands between (N * E, B).
        kept_weight: Attenuation at the end of the last step, below 0 where there was none (N, E, B) [1/m]; goes on.
        kept_delay: Delay in force (N, E, B), whole [samples]; goes on.
        arriving: Gets the sum (N * E, samples) [Pa]; long enough for the latest.
        nearest: Nearer than this, sound gets no louder [m].
        slow: Delay of a way [samples/m].
        latest: Longest delay [samples].
        slack: How far a steady sound's delay may be off before it jumps [samples].
    """
    tensors = (emitted, loud, impulse, distance, gain, kept_weight, kept_delay, arriving)
    _launch((len(arriving),), *tensors, nearest, slow, latest, slack)
