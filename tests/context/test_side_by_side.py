"""Parts of one inference on cores of their own: same results, and only where that is asked for."""

from __future__ import annotations

import os
import threading

import pytest
import torch

from sage_ext.context.encoder import ContextEncoder
from sage_ext.context.side_by_side import side_by_side

from .conftest import make_observation

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has nothing beside it")


def where() -> str:
    return threading.current_thread().name


def test_jobs_run_at_the_same_time_and_answer_in_order() -> None:
    meeting = threading.Barrier(2, timeout=10)
    with torch.no_grad():
        # Neither passes the barrier before the other has come.
        assert side_by_side(CPU, lambda: (meeting.wait(), "a")[1], lambda: (meeting.wait(), "b")[1]) == ["a", "b"]


def test_learning_and_many_threads_an_operation_stay_in_the_callers_thread() -> None:
    with torch.enable_grad():
        assert side_by_side(CPU, where, where) == [where()] * 2
    with torch.no_grad():
        assert side_by_side(torch.device("meta"), where) == [where()]
        assert where() not in side_by_side(CPU, where)
        torch.set_num_threads(2)
        try:
            assert side_by_side(CPU, where) == [where()]
        finally:
            torch.set_num_threads(1)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_nothing_learns_beside_either(mode: type) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    with mode():
        (result,) = side_by_side(CPU, lambda: weight * 2)
        assert not result.requires_grad and result.is_inference() == torch.is_inference_mode_enabled()


def test_an_error_comes_back_to_the_caller() -> None:
    with torch.no_grad(), pytest.raises(ZeroDivisionError):
        side_by_side(CPU, lambda: 1 // 0, where)


def test_contexts_are_the_same_side_by_side(small: ContextEncoder) -> None:
    observation = make_observation(3, 4)
    reset = torch.tensor([[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    state = torch.randn(3, small.core.state_width)
    apart = small(observation, state, reset=reset)
    with torch.no_grad():
        beside = small(observation, state, reset=reset)
    for one, other in zip(apart, beside, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
