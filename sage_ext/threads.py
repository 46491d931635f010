"""How many threads PyTorch shares an operation out to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many within the block, as many as before after it.

    Small tensors want one: a second thread costs more than it brings, and takes the core that physics and rays could
    use.

    Args:
        count: How many, at least 1.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
