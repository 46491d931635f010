"""Touch: forces on two pads of 8 x 8 taxels, one on each fingertip of a gripper.

OvPhysX tells single contact points with their forces; each point's force is shared out bilinearly among the four taxels
around it, so that taxels sum to the force and their centre of pressure is the point. Where the engine gives one force
per partner and no points, the point follows from geometry: the middle of the stretch in which the pad and its partner
overlap, for a ball the foot of its centre. What touches the finger beside its pad is felt at the pad's nearest rim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import warp as wp
from isaaclab.utils.math import quat_apply_inverse
from torch import Tensor

from ..observations import TACTILE_WIDTH

if TYPE_CHECKING:
    from ..sage_env import SageEnv

SIDE = 8
"""Taxels along each edge of a pad."""


@dataclass(frozen=True)
class Pad:
    """A flat pad in the plane of its finger's x and z axes.

    Attributes:
        low: Its corner with the smaller x and z [m].
        high: Its corner with the larger x and z [m].
    """

    low: tuple[float, float]
    high: tuple[float, float]

    @property
    def pitch(self) -> tuple[float, float]:
        """From taxel to taxel along x and z [m]."""
        return (self.high[0] - self.low[0]) / SIDE, (self.high[1] - self.low[1]) / SIDE

    def spread(self, place: Tensor) -> Tensor:
        """Shares of a unit force among the taxels.

        Args:
            place: Where it acts (..., 2): x and z in the finger's frame [m].

        Returns:
            Shares (..., 64) that sum to 1: rows along z, columns along x.
        """
        low, pitch = (torch.tensor(v, device=place.device) for v in (self.low, self.pitch))
        at = ((place - low) / pitch - 0.5).clamp(0.0, SIDE - 1.0)
        share = (1.0 - (at.unsqueeze(-1) - torch.arange(SIDE, device=place.device)).abs()).clamp(min=0.0)
        return (share[..., 1, :, None] * share[..., 0, None, :]).flatten(-2)


class PadTouch:
    """Touch of a gripper with a pad on each of two fingers.

    The ``skin_contacts`` sensor names the partners, the loose objects; what it does not name, the table and the floor,
    is the last partner.

    Args:
        env: The environment, its simulation started.
        links: The fingers, left and right, in the order of the sensor.
        pad: The pad, the same in both fingers' frames.
    """

    def __init__(self, env: SageEnv, links: tuple[str, str], pad: Pad) -> None:
        self._env, self.pad = env, pad
        self.links: tuple[str, ...] = links
        self.width = len(links) * SIDE * SIDE
        assert self.width == TACTILE_WIDTH
        self._sensor = env.scene["skin_contacts"]
        self._rows = [self._sensor.body_names.index(link) for link in links]
        self._bodies = [env.robot.body_names.index(link) for link in links]
        device = env.device
        flat = [(t.radius * (t.kind == "box"), t.height / 2 * (t.kind != "ball")) for t in env.objects]
        self._half = torch.tensor(flat, device=device)
        self._low, self._high = torch.tensor(pad.low, device=device), torch.tensor(pad.high, device=device)
        view = getattr(self._sensor, "contact_view", None)
        self._points = ContactPoints(view, env.num_envs, device) if hasattr(view, "read_normal_contact_data") else None

    def feel(self, ticks: int) -> Tensor:
        """See :meth:`sage_envs.senses.touch.Touch.feel`."""
        force = self.forces(ticks).mean(dim=1)  # (N, L, M, 3)
        size = force.norm(dim=-1)
        if not bool(size.any()):
            return torch.zeros(len(size), self.width, device=size.device)
        pose = self._env.robot.data.body_link_pose_w.torch[:, self._bodies]
        shares = self.pad.spread(self.places(force, pose))
        if self._points is not None:
            self._take_points(shares, pose)
        return (size.unsqueeze(-1) * shares).sum(dim=2).flatten(1)

    def forces(self, ticks: int) -> Tensor:
        """Normal force of each partner on each finger, newest physics step first (N, ticks, L, M, 3) [N]."""
        data = self._sensor.data
        named = data.normal_force_matrix_w_history.torch[:, :ticks, self._rows]
        rest = data.net_normal_forces_w_history.torch[:, :ticks, self._rows] - named.sum(dim=3)
        # Below this the difference of large forces is rounding, not touch.
        rest = torch.where(rest.norm(dim=-1, keepdim=True) > 1e-3, rest, 0.0)
        return torch.cat([named, rest.unsqueeze(3)], dim=3)

    def places(self, force: Tensor, pose: Tensor) -> Tensor:
        """Where partners touch the pads by geometry alone.

        Args:
            force: Force of each partner on each finger (N, L, M, 3) [N].
            pose: Poses of the fingers (N, L, 7).

        Returns:
            x and z in the fingers' frames (N, L, M, 2) [m].
        """
        quat = pose[:, :, None, 3:].expand(-1, -1, force.shape[2], -1).contiguous()
        offset = self._env.loose.data.body_link_pose_w.torch[:, None, :, :3] - pose[:, :, None, :3]
        centre = quat_apply_inverse(quat[:, :, :-1].contiguous(), offset.contiguous())[..., ::2]
        reach = (self._half * self._env.sizes.scale.unsqueeze(-1)).unsqueeze(1)
        low = torch.maximum(torch.minimum(centre - reach, self._high), self._low)
        high = torch.maximum(torch.minimum(centre + reach, self._high), self._low)
        # The table pushes against the rim that faces it.
        push = quat_apply_inverse(quat[:, :, -1].contiguous(), force[:, :, -1].contiguous())[..., ::2]
        push = push / push.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        rim = 0.5 * (self._low + self._high) - 0.5 * (self._high - self._low) * push
        return torch.cat([0.5 * (low + high), rim.unsqueeze(2)], dim=2)

    def _take_points(self, shares: Tensor, pose: Tensor) -> None:
        """Replace shares (N, L, M, 64) where the engine knows the contact points."""
        assert self._points is not None
        pair, force, position = self._points.read()
        if not len(pair):
            return
        n, partners = shares.shape[0], shares.shape[2] - 1
        # The engine counts finger by finger, world by world, partner by partner.
        finger, world, partner = pair // (n * partners), pair // partners % n, pair % partners
        order = torch.tensor([self._rows.index(i) for i in range(len(self._rows))], device=pair.device)
        finger = order[finger]
        here = pose[world, finger]
        place = quat_apply_inverse(here[:, 3:].contiguous(), (position - here[:, :3]).contiguous())[:, ::2]
        where = (world * len(self._rows) + finger) * (partners + 1) + partner
        flat = shares.view(-1, SIDE * SIDE)
        total = torch.zeros(len(flat), device=flat.device).index_add_(0, where, force)
        summed = torch.zeros_like(flat).index_add_(0, where, force.unsqueeze(1) * self.pad.spread(place))
        known = total > 0.0
        flat[known] = summed[known] / total[known].unsqueeze(1)


class ContactPoints:
    """Single contact points of the last physics step, as OvPhysX has them.

    Args:
        view: The contact view of a sensor with filters.
        num_envs: Worlds.
        device: Torch device of the environment.
    """

    def __init__(self, view: object, num_envs: int, device: str) -> None:
        self._view, self._device = view, device
        most, pairs = view.max_contact_data_count, (view.sensor_count, view.filter_count)  # type: ignore[attr-defined]
        shapes = ((most, 1), (most, 3), (most, 3), (most, 1))
        self._buffers = [wp.zeros(shape, dtype=wp.float32, device=device) for shape in shapes]
        self._counts = [wp.zeros(pairs, dtype=wp.int32, device=device) for _ in range(2)]

    def read(self) -> tuple[Tensor, Tensor, Tensor]:
        """Points that press.

        Returns:
            Pair of sensor and filter, as the view counts them (P,), normal force (P,) [N] and place in the frame of
            the scene (P, 3) [m].
        """
        self._view.read_normal_contact_data(*self._buffers, *self._counts)  # type: ignore[attr-defined]
        count, start = (wp.to_torch(c).flatten().long() for c in self._counts)
        pair = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
        first = torch.repeat_interleave(start - (count.cumsum(0) - count), count)
        at = torch.arange(len(pair), device=pair.device) + first
        force, place = wp.to_torch(self._buffers[0])[at, 0].abs(), wp.to_torch(self._buffers[1])[at]
        return pair, force, place
