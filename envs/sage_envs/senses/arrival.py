"""How sound gets from bodies to microphones: later and weaker, as one compiled loop over what each microphone hears."""

from __future__ import annotations

import warp as wp
from torch import Tensor

wp.set_module_options({"enable_backward": False})


@wp.kernel
def _arrive(
    emitted: wp.array3d(dtype=float),
    impulse: wp.array3d(dtype=float),
    weight: wp.array3d(dtype=float),
    late: wp.array3d(dtype=float),
    kept_weight: wp.array3d(dtype=float),
    kept_delay: wp.array3d(dtype=float),
    arriving: wp.array2d(dtype=float),
    slack: float,
):
    row = wp.tid()
    ears, steps = kept_weight.shape[1], impulse.shape[2]
    world, ear = row // ears, row % ears
    length = emitted.shape[2] // steps
    for body in range(emitted.shape[0]):
        held, begin = float(kept_delay[world, ear, body]), float(kept_weight[world, ear, body])
        if begin < 0.0:
            begin = float(weight[row, body, 0])
        for step in range(steps):
            # A steady sound keeps its delay, for a jump would click; a strike masks the click and sets it right.
            if impulse[world, body, step] > 0.0 or wp.abs(late[row, body, step] - held) > slack:
                held = float(late[row, body, step])
            end = float(weight[row, body, step])
            change = (end - begin) / float(length)
            start, first = step * length, step * length + int(held)
            for sample in range(length):
                arriving[row, first + sample] += emitted[body, world, start + sample] * (
                    begin + change * float(sample + 1)
                )
            begin = end
        kept_delay[world, ear, body] = held
        kept_weight[world, ear, body] = begin


def arrive(
    emitted: Tensor,
    impulse: Tensor,
    weight: Tensor,
    late: Tensor,
    kept_weight: Tensor,
    kept_delay: Tensor,
    arriving: Tensor,
    slack: float,
) -> None:
    """Add what bodies emit to what arrives at N * E microphones.

    Attenuation goes linearly from the end of one step to the end of the next.

    Args:
        emitted: Pressure at 1 m of each body, S steps of P samples (B, N, S * P) [Pa m].
        impulse: Above 0 where a strike begins with a step (N, B, S).
        weight: Attenuation at the ends of the steps (N * E, B, S) [1/m].
        late: Delay at the ends of the steps (N * E, B, S), whole [samples].
        kept_weight: Attenuation at the end of the last step, below 0 where there was none (N, E, B) [1/m]; goes on.
        kept_delay: Delay in force (N, E, B), whole [samples]; goes on.
        arriving: Gets the sum (N * E, samples) [Pa]; long enough for the latest.
        slack: How far a steady sound's delay may be off before it jumps [samples].
    """
    wp.init()
    inputs = (emitted, impulse, weight, late.contiguous(), kept_weight, kept_delay, arriving)
    arrays = [wp.from_torch(value) for value in inputs]
    wp.launch(_arrive, dim=len(arriving), inputs=[*arrays, slack], device=str(arriving.device))
