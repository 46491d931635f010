"""Prepared launches of kernels: always of the tensors that were given."""

from __future__ import annotations

import torch
import warp as wp

from sage_envs.kernel import MOST, Kernel


@wp.kernel(enable_backward=False)
def _scale(values: wp.array[wp.vec3f], factor: float, out: wp.array[wp.vec3f]):
    row = wp.tid()
    out[row] = factor * values[row]


def test_a_launch_follows_what_is_written_in_place_and_what_moves() -> None:
    launch = Kernel(_scale, values=wp.vec3f, out=wp.vec3f)
    values, out = torch.rand(4, 3), torch.zeros(4, 3)
    for _ in range(2):
        launch((4,), values, 2.0, out)
        torch.testing.assert_close(out, 2.0 * values)
        values += 1.0
    elsewhere, there = torch.rand(4, 3), torch.zeros(4, 3)
    launch((4,), elsewhere, 2.0, there)
    torch.testing.assert_close(there, 2.0 * elsewhere)
    assert len(launch._prepared) == 1
    launch((4,), values, 3.0, out)
    torch.testing.assert_close(out, 3.0 * values)
    kept = []
    for rows in range(1, MOST + 3):
        kept.append((torch.rand(rows, 3), torch.zeros(rows, 3)))
        launch((rows,), kept[-1][0], 2.0, kept[-1][1])
    for before, after in kept:
        torch.testing.assert_close(after, 2.0 * before)
    assert len(launch._prepared) <= MOST


def test_strided_views_are_read_where_they_are() -> None:
    launch = Kernel(_scale, values=wp.vec3f, out=wp.vec3f)
    history, out = torch.rand(4, 2, 3), torch.zeros(4, 3)
    for step in range(2):
        launch((4,), history[:, step], 1.0, out)
        torch.testing.assert_close(out, history[:, step])
