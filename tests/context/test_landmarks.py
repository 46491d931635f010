"""Landmarks: they point at what their map of weights lights up, and say how far it is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sage_ext.context.landmarks import Landmarks
from sage_ext.context.stems import VectorStem, colours, symlog

BOTH = torch.tensor([[True, True]])


def seeks_red() -> Landmarks:
    """One landmark that is drawn to what is red, whatever its brightness."""
    landmarks = Landmarks(1, hidden=1)
    first, _, middle, _, last = landmarks.layers
    for layer in (first, middle, last):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        landmarks.nowhere.fill_(-7.0)
        first.weight[0, 3, 2:6, 2:6] = 1.0  # the share of red in a cell
        middle.weight[0, 0, 1, 1] = last.weight[0, 0] = 1.0
    return landmarks


def scene(row: int, column: int, metres: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A dark red patch of 8x8 pixels on grey ground."""
    visual, depth = torch.full((1, 64, 64, 3), 128, dtype=torch.uint8), torch.full((1, 64, 64, 1), 5.0)
    visual[:, row : row + 8, column : column + 8] = torch.tensor([90, 10, 10], dtype=torch.uint8)
    depth[:, row : row + 8, column : column + 8] = metres
    return visual, depth


def told(landmarks: Landmarks, visual: Tensor | None, depth: Tensor | None, flags: Tensor) -> Tensor:
    numbers, chart = landmarks(visual, depth, flags)
    assert (chart is None) == (visual is None and depth is None)
    return numbers


@pytest.mark.parametrize(("row", "column", "metres"), [(0, 0, 1.0), (40, 8, 2.5), (56, 56, 0.5)])
def test_it_points_at_what_it_seeks(row: int, column: int, metres: float) -> None:
    found = told(seeks_red(), *scene(row, column, metres), BOTH)[0]
    # Cells are 4 pixels wide; the patch covers two of 16 each way, whose middles are at -1..1.
    across, down = (2 * (start // 4 + 0.5) / 15 - 1 for start in (column, row))
    assert found[:2].tolist() == pytest.approx([across, down], abs=0.01)
    assert found[2:6].tolist() == pytest.approx(
        [1 / (1 + metres), across * metres, down * metres, metres / 3], abs=0.02
    )


def test_it_tells_what_things_look_like_where_it_finds_them() -> None:
    landmarks = seeks_red()
    visual, depth = scene(40, 8, 2.5)
    numbers, chart = landmarks(visual, depth, BOTH)
    assert chart is not None
    size, light, red, green = landmarks.traits(chart, numbers, visual, BOTH)[0, 0].tolist()
    # 90, 10 and 10 of 255, and how large nothing else is known to look, 2.5 m away.
    share = 90 / 255 / (110 / 255 + 0.05)
    assert light == pytest.approx(2 * 110 / 3 / 255 - 1, abs=0.01) and red == pytest.approx(3 * share - 1, abs=0.02)
    assert green == pytest.approx(3 * share / 9 - 1, abs=0.02)
    assert size == pytest.approx(math.log(0.06 * 2.5) + 3, abs=0.02)
    larger = chart._replace(radius=chart.radius + math.log(0.1))
    assert landmarks.traits(larger, numbers, visual, BOTH)[0, 0, 0].item() == pytest.approx(
        size + math.log(0.1), abs=1e-4
    )
    blind = landmarks.traits(chart, numbers, visual, torch.tensor([[True, False]]))[0, 0]
    assert blind[0] == 0 and blind[1].item() == pytest.approx(light), "no depth, no size"
    assert not landmarks.traits(chart, numbers, None, torch.tensor([[False, True]]))[0, 0, 1:].any()
    assert not landmarks.traits(chart, 0 * numbers, visual, BOTH).any(), "nothing of what is not there"


def test_a_cell_corrects_where_in_it_and_how_far_behind_its_surface_it_is() -> None:
    landmarks = seeks_red()
    plain = told(landmarks, *scene(40, 8, 2.5), BOTH)[0]
    with torch.no_grad():
        landmarks.layers[-1].bias[1:4] = torch.tensor([0.5, -0.5, 0.25])
    found = told(landmarks, *scene(40, 8, 2.5), BOTH)[0]
    assert (found - plain)[:2].tolist() == pytest.approx([0.1, -0.1], abs=1e-5)
    assert 3 * (found - plain)[5].item() == pytest.approx(0.05, abs=1e-5)
    assert found[5].item() == pytest.approx((1 / found[2].item() - 1) / 3, abs=1e-5)


def test_how_far_a_thing_is_does_not_depend_on_what_is_around_it_or_on_a_hole() -> None:
    visual, depth = scene(40, 8, 2.5)
    whole = told(seeks_red(), visual, depth, BOTH)[0]
    # All but the middle of the patch, which is the corner of four cells.
    around = 10.0 * torch.rand(depth.shape, generator=torch.Generator().manual_seed(0))
    around[:, 42:46, 10:14] = 2.5
    around[:, 44, 12] = 0.0
    assert torch.allclose(told(seeks_red(), visual, around, BOTH)[0, 2:6], whole[2:6], atol=1e-3)


def test_without_depth_it_points_but_tells_no_distance() -> None:
    visual, depth = scene(40, 8, 2.5)
    whole = told(seeks_red(), visual, depth, BOTH)[0]
    alone = told(seeks_red(), visual, None, torch.tensor([[True, False]]))[0]
    assert torch.equal(alone[:2], whole[:2]) and torch.count_nonzero(alone[2:6]) == 0


def test_without_pictures_there_are_none() -> None:
    visual, depth = scene(0, 0, 1.0)
    assert not told(seeks_red(), None, None, torch.zeros(2, 2, dtype=torch.bool)).any()
    assert not told(seeks_red(), visual, depth, torch.tensor([[False, False]])).any()


def test_the_numbers_of_what_is_nowhere_fade() -> None:
    landmarks = seeks_red()
    whole = told(landmarks, *scene(40, 8, 2.5), BOTH)[0]
    with torch.no_grad():
        landmarks.nowhere[:] = torch.logsumexp(landmarks.chart(*scene(40, 8, 2.5), BOTH).strength, -1)[0]
    doubtful = told(landmarks, *scene(40, 8, 2.5), BOTH)[0]
    assert doubtful[6].item() == pytest.approx(0.5) and torch.allclose(doubtful[:6], whole[:6], atol=1e-4)
    with torch.no_grad():
        landmarks.nowhere += math.log(3.0)
    fading = told(landmarks, *scene(40, 8, 2.5), BOTH)[0]
    assert fading[6].item() == pytest.approx(0.25, abs=1e-4)
    assert fading[:6].tolist() == pytest.approx((whole[:6] / 2).tolist(), abs=0.01)
    with torch.no_grad():
        landmarks.nowhere += 20.0
    assert told(landmarks, *scene(40, 8, 2.5), BOTH).abs().max() < 1e-6


def test_all_of_it_learns() -> None:
    landmarks = Landmarks(4)
    told(landmarks, *scene(8, 20, 1.0), BOTH).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in landmarks.parameters())


def test_chromaticity_is_the_same_in_shade() -> None:
    light = torch.tensor([[[[200, 100, 40]]]], dtype=torch.uint8)
    shade = torch.tensor([[[[100, 50, 20]]]], dtype=torch.uint8)
    one, other = colours(light)[0, :, 0, 0], colours(shade)[0, :, 0, 0]
    assert (one[3:] - other[3:]).abs().max() < 0.15 < (one[:3] - other[:3]).abs().max()


def test_a_calibrated_perceptron_bends() -> None:
    torch.manual_seed(0)
    stem, small = VectorStem(64, 256, 256), torch.zeros(2000, 64)
    small[:, :6] = 0.02 * torch.randn(2000, 6)
    stem.calibrate(small)
    hidden = stem.layers[0](symlog(small)).detach()
    assert hidden.std(0).mean() == pytest.approx(1.5, rel=0.1) and hidden.mean(0).std() > 0.5
    # Six numbers that are seen through bent units span more than six directions.
    bent = stem.layers(symlog(small)).detach()
    values = torch.linalg.svdvals(bent - bent.mean(0))
    assert int((values > 0.02 * values[0]).sum()) > 12
    spoken = torch.zeros(1, 64)
    spoken[:, 6:] = 10.0
    assert stem(spoken).abs().max() < 100, "what was silent does not shout"


def test_a_perceptron_is_calibrated_wherever_it_lies() -> None:
    """The meta device stands in for a GPU: like it, it refuses tensors that lie on the CPU."""
    stem = VectorStem(64, 256, 128).to("meta")
    stem.calibrate(torch.zeros(16, 64, device="meta"))
    assert stem.layers[0].bias.device.type == "meta"
