"""SIGReg against its definition, and what it does to a collapsed batch."""

from __future__ import annotations

import numpy as np
import torch

from sage_ext.context.layout import GROUPS
from sage_ext.learning.sigreg import COLLAPSED, GAUSSIAN, epps_pulley, lines, sigreg


def _brute_force(samples: np.ndarray) -> float:
    t = np.linspace(-15, 15, 60001)
    characteristic = np.exp(1j * np.outer(t, samples)).mean(1)
    integrand = np.abs(characteristic - np.exp(-(t**2) / 2)) ** 2 * np.exp(-(t**2) / 2)
    return float(len(samples) * np.trapezoid(integrand, t))


def test_equals_the_integral_of_its_definition() -> None:
    g = torch.Generator().manual_seed(0)
    normal = torch.randn(40, generator=g, dtype=torch.float64)
    uniform = torch.rand(40, generator=g, dtype=torch.float64)
    columns = [normal, normal * 0.1, normal * 1.5 + 1, uniform, normal * 0 + 0.7]
    found = epps_pulley(torch.stack(columns, 1))
    for column, value in zip(columns, found, strict=True):
        expected = _brute_force(column.numpy())
        assert abs(float(value) - expected) < 2e-3 * expected + 1e-4


def test_masked_samples_do_not_count() -> None:
    g = torch.Generator().manual_seed(0)
    samples, mask = torch.randn(50, 3, generator=g), torch.rand(50, 3, generator=g) > 0.5
    mask[:, 2] = False
    found = epps_pulley(torch.where(mask, samples, 1e3), mask)
    for i in range(2):
        torch.testing.assert_close(found[i], epps_pulley(samples[mask[:, i], i : i + 1])[0])
    assert found[2] == 0


def test_gaussian_scores_as_expected_and_any_constant_far_above() -> None:
    g = torch.Generator().manual_seed(0)
    gaussian = sigreg(torch.randn(256, 4096, generator=g), lines(32, g))
    assert gaussian.shape == (15,)
    assert abs(float(gaussian.mean()) - GAUSSIAN) < 0.1
    zero = sigreg(torch.zeros(256, 4096), lines(32, g))
    torch.testing.assert_close(zero, torch.full((15,), COLLAPSED * 256), rtol=1e-3, atol=0.0)
    for seed in range(3):
        constant = torch.randn(4096, generator=g.manual_seed(seed)).expand(256, -1)
        assert bool((sigreg(constant, lines(32, g)) > zero - 1e-2).all())
    assert float(zero.min()) > 50 * float(gaussian.max())


def test_one_dead_group_is_seen_even_when_the_others_make_up_for_it() -> None:
    g = torch.Generator().manual_seed(0)
    context = torch.randn(256, 4096, generator=g) * 1.05
    context[:, GROUPS["materials"].slice] = 0
    scores = dict(zip(GROUPS, sigreg(context, lines(32, g)).tolist(), strict=True))
    assert scores.pop("materials") > 10 * max(scores.values())


def test_a_low_rank_batch_scores_above_a_full_one() -> None:
    g = torch.Generator().manual_seed(0)
    flat = torch.randn(256, 3, generator=g) @ torch.randn(3, 4096, generator=g) / 3**0.5
    full = torch.randn(256, 4096, generator=g)
    assert sigreg(flat, lines(32, g)).mean() > 5 * sigreg(full, lines(32, g)).mean()


def test_lines_come_from_the_generator() -> None:
    context = torch.randn(32, 4096)
    a, b, c = (sigreg(context, lines(8, torch.Generator().manual_seed(s))) for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_its_gradient_undoes_a_collapse() -> None:
    g = torch.Generator().manual_seed(0)
    context = (0.01 * torch.randn(64, 4096, generator=g)).requires_grad_()
    optimizer = torch.optim.Adam([context], lr=0.05)
    start = float(sigreg(context.detach(), lines(16, g)).mean())
    for _ in range(60):
        optimizer.zero_grad()
        sigreg(context, lines(16, g)).mean().backward()
        optimizer.step()
    assert float(sigreg(context.detach(), lines(16, g)).mean()) < 0.1 * start
    assert 0.6 < float(context.detach().std()) < 1.4
