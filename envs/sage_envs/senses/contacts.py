"""From contact forces to what makes sound: onsets, slipping and rolling.

Impacts are the growth of a body's contact force from one physics step to the next, times the
step. Slipping power is friction force times the speed at which the point of support slides;
rolling power is the load times the part of the speed that is not sliding. The point of support
is taken as the lowest point of the body, which is exact for balls and for standing boxes and
cylinders.
"""

from __future__ import annotations

import torch
from torch import Tensor

JITTER = 0.2
"""Growth of a resting contact's force from step to step that is solver noise, not a hit [N]."""


def onset_impulse(normal: Tensor, before: Tensor, dt: float) -> Tensor:
    """Impulses of new or growing contacts.

    Args:
        normal: Net normal force on each body, oldest step first (N, S, B, 3) [N].
        before: Its magnitude in the step before the first (N, B) [N].
        dt: Physics step [s].

    Returns:
        Impulse per body and step (N, B, S) [N s].
    """
    size = normal.norm(dim=-1).transpose(1, 2)
    growth = torch.diff(torch.cat([before.unsqueeze(-1), size], dim=-1), dim=-1)
    return (growth - JITTER).clamp(min=0.0) * dt


def slip_and_roll(
    normal: Tensor, friction: Tensor, linear: Tensor, angular: Tensor, support: Tensor
) -> tuple[Tensor, Tensor]:
    """Power that goes into sliding and the power scale of rolling.

    Args:
        normal: Net normal force on each body (N, S, B, 3) [N].
        friction: Net friction force on each body (N, S, B, 3) [N].
        linear: Velocity of the bodies' centres (N, S, B, 3) [m/s].
        angular: Angular velocity (N, S, B, 3) [rad/s].
        support: Height of the centres above the point of support (B,) or (N, 1, B) [m].

    Returns:
        Slipping power and rolling power per body and step, each (N, B, S) [W].
    """
    # Cross product with (0, 0, -support): the velocity of the lowest point in the plane.
    slide_x = linear[..., 0] - angular[..., 1] * support
    slide_y = linear[..., 1] + angular[..., 0] * support
    slide = torch.hypot(slide_x, slide_y)
    speed = linear[..., :2].norm(dim=-1)
    slip = friction.norm(dim=-1) * slide
    roll = normal.norm(dim=-1) * (speed - slide).clamp(min=0.0)
    return slip.transpose(1, 2), roll.transpose(1, 2)
