"""From contact forces to what makes sound: onsets, slipping and rolling.

Impacts are the growth of a body's contact force from one physics step to the next, times the
step. Slipping power is friction force times the speed at which the point of support slides;
rolling power is the load times the part of the speed that is not sliding. The point of support
is taken as the lowest point of the body, which is exact for balls and for standing boxes and
cylinders.
"""

from __future__ import annotations

import warp as wp
from torch import Tensor

from ..kernel import Kernel

wp.set_module_options({"enable_backward": False})

JITTER = 0.2
"""Growth of a resting contact's force from step to step that is solver noise, not a hit [N]."""
CREEP = 1e-6
"""Power of sliding and rolling at rest that is solver noise; 10 cm away it would be as loud as -75 dB [W]."""


@wp.kernel
def _causes(
    object_normal: wp.array3d[wp.vec3f],
    friction: wp.array3d[wp.vec3f],
    link_normal: wp.array3d[wp.vec3f],
    before: wp.array3d[float],
    after: wp.array3d[float],
    support: wp.array2d[float],
    fresh: wp.array[bool],
    dt: float,
    jitter: float,
    creep: float,
    last: wp.array2d[float],
    causes: wp.array4d[float],
):
    world, body = wp.tid()
    objects, steps = object_normal.shape[2], causes.shape[3]
    size = float(last[world, body])
    for step in range(steps):
        newest_first = steps - 1 - step
        force = wp.vec3f(0.0)
        if not fresh[world]:
            if body < objects:
                force = object_normal[world, newest_first, body]
            else:
                force = link_normal[world, newest_first, body - objects]
        grown = wp.length(force)
        if not fresh[world]:
            causes[0, world, body, step] = wp.max(grown - size - jitter, 0.0) * dt
        size = grown
        if body < objects and not fresh[world]:
            blend = float(step + 1) / float(steps)
            x = wp.lerp(before[world, body, 0], after[world, body, 0], blend)
            y = wp.lerp(before[world, body, 1], after[world, body, 1], blend)
            # Cross product with (0, 0, -support): the velocity of the lowest point in the plane.
            slide_x = x - wp.lerp(before[world, body, 4], after[world, body, 4], blend) * support[world, body]
            slide_y = y + wp.lerp(before[world, body, 3], after[world, body, 3], blend) * support[world, body]
            slide = wp.sqrt(slide_x * slide_x + slide_y * slide_y)
            sliding = wp.length(friction[world, newest_first, body]) * slide
            rolling = grown * wp.max(wp.sqrt(x * x + y * y) - slide, 0.0)
            if sliding > creep:
                causes[1, world, body, step] = sliding
            if rolling > creep:
                causes[2, world, body, step] = rolling
    last[world, body] = size


_launch = Kernel(_causes, object_normal=wp.vec3f, friction=wp.vec3f, link_normal=wp.vec3f)


def causes_of_sound(
    object_normal: Tensor,
    friction: Tensor,
    link_normal: Tensor,
    before: Tensor,
    after: Tensor,
    support: Tensor,
    fresh: Tensor,
    dt: float,
    last: Tensor,
    out: Tensor,
) -> None:
    """Impulses of new or growing contacts, power that goes into sliding, and the power scale of rolling.

    Args:
        object_normal: Net normal force on each loose object, newest physics step first (N, H, O, 3) [N].
        friction: Net friction force on them (N, H, O, 3) [N].
        link_normal: Net normal force on each link that feels (N, H, L, 3) [N].
        before: Velocities of the objects' centres at the last look, linear then angular (N, O, 6).
        after: Those of now (N, O, 6); between them they go linearly.
        support: Height of the objects' centres above their points of support (N, O) [m].
        fresh: Worlds whose state was just written (N,) bool: nothing has sounded there.
        dt: Physics step [s].
        last: Size of the normal force in the step before the first (N, O + L) [N]; goes on.
        out: Gets impulse [N s], slipping and rolling power [W], oldest step first: (3, N, >= O + L, S) zeros, S <= H.
    """
    forces = (object_normal, friction, link_normal)
    _launch(tuple(last.shape), *forces, before, after, support, fresh, dt, JITTER, CREEP, last, out)
