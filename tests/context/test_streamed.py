"""A layer for single rows gives what a plain one gives, and notices when its weights change."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from sage_ext.context.streamed import StreamedLinear


def plain(layer: StreamedLinear, x: torch.Tensor) -> torch.Tensor:
    return nn.functional.linear(x, layer.weight, layer.bias)


@pytest.mark.parametrize("shape", [(40,), (1, 40), (1, 1, 40), (3, 40), (2, 4, 40)])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_a_plain_layer(shape: tuple[int, ...], bias: bool) -> None:
    layer, x = StreamedLinear(40, 24, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), plain(layer, x))
    assert layer(x).requires_grad


@torch.no_grad()
def test_only_a_single_row_is_read_by_columns() -> None:
    layer = StreamedLinear(40, 24)
    layer(torch.randn(2, 40))
    assert layer._columns is None
    layer(torch.randn(1, 40))
    assert layer._columns is not None and layer.state_dict().keys() == {"weight", "bias"}


def _step(layer: StreamedLinear, fused: bool) -> None:
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=fused)
    layer(torch.randn(8, 40)).square().mean().backward()
    optimizer.step()


def _average(layer: StreamedLinear) -> None:
    AveragedModel(layer, multi_avg_fn=lambda a, b, n: torch._foreach_lerp_(a, b, 0.5)).module.load_state_dict(
        layer.state_dict()
    )
    with torch.no_grad():
        torch._foreach_lerp_([layer.weight], [torch.zeros_like(layer.weight)], 0.5)


def test_copies_and_other_types_start_anew() -> None:
    layer, x = StreamedLinear(40, 24).eval(), torch.randn(1, 40)
    with torch.no_grad():
        layer(x)
        twin = copy.deepcopy(layer)
        assert twin._columns is None and torch.equal(twin(x), layer(x))
        torch.testing.assert_close(layer.double()(x.double()), plain(layer, x.double()))


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: _step(layer, True),
        lambda layer: _step(layer, False),
        _average,
        lambda layer: layer.load_state_dict(StreamedLinear(40, 24).state_dict()),
        lambda layer: nn.init.ones_(layer.weight),
    ],
)
def test_changed_weights_are_noticed(change) -> None:
    layer, x = StreamedLinear(40, 24), torch.randn(1, 40)
    with torch.no_grad():
        before = layer(x)
    change(layer)
    with torch.no_grad():
        assert not torch.allclose(layer(x), before)
        torch.testing.assert_close(layer(x), plain(layer, x))
