"""A judge of the toy world, fitted once."""

from __future__ import annotations

import pytest

from sage_ext.surprise.judge import Judge
from sage_ext.surprise.scenes import learn

from .worlds import LOOKS, stretches

START = LOOKS // 4


@pytest.fixture(scope="package")
def judge() -> Judge:
    """Leave it as it is; copy it with :func:`sage_ext.surprise.judge.Judge.from_config`."""
    known = stretches(90, 1)
    return learn(known.context, known.actions, START, 60)
