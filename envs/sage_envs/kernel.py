"""Warp kernels over torch tensors, at little cost a launch."""

from __future__ import annotations

from typing import Any

import warp as wp
from torch import Tensor

MOST = 64
"""Prepared launches that are kept."""


class Kernel:
    """A kernel whose launches are prepared once for tensors of the same shapes and strides.

    Preparing takes several times as long as what small kernels do. Of a prepared launch only the addresses change.

    Args:
        kernel: A Warp kernel.
        vectors: Names of arguments that are arrays of vectors or quaternions, and what of: the tensors' last
            dimension.
    """

    def __init__(self, kernel: wp.Kernel, **vectors: Any) -> None:
        self._kernel = kernel
        self._types = [vectors.get(argument.label) for argument in kernel.adj.args]
        self._prepared: dict[tuple[object, ...], wp.Launch] = {}

    def __call__(self, dim: tuple[int, ...], *inputs: Tensor | float) -> None:
        """Launch.

        Args:
            dim: Threads.
            *inputs: The kernel's arguments.
        """
        key = (dim, *((x.shape, x.stride()) if isinstance(x, Tensor) else x for x in inputs))
        launch = self._prepared.get(key)
        if launch is None:
            launch = self._prepare(dim, inputs)
            if len(self._prepared) >= MOST:
                self._prepared.clear()
            self._prepared[key] = launch
        # The bounds come first.
        for parameter, x in zip(launch.params[1:], inputs, strict=True):
            if isinstance(x, Tensor):
                parameter.data = x.data_ptr()
        launch.launch()

    def _prepare(self, dim: tuple[int, ...], inputs: tuple[Tensor | float, ...]) -> wp.Launch:
        wp.init()
        device = next(str(x.device) for x in inputs if isinstance(x, Tensor))
        # Bare descriptors: they do not keep the tensors.
        arguments = [
            wp.from_torch(x, dtype=kind, return_ctype=True) if isinstance(x, Tensor) else x
            for x, kind in zip(inputs, self._types, strict=True)
        ]
        return wp.launch(self._kernel, dim=dim, inputs=arguments, device=device, record_cmd=True)
