"""The camera against Isaac Lab's own, and living moments again against plain stepping, block by block in one simulator.

* ``camera``: pictures of all worlds where they stand, cast by our renderer on all cores and by Isaac Lab's on one.
* ``counterfactual``: :func:`sage_envs.counterfactual.counterfactuals` with ground truth alone, restoring included,
  against as many physics steps of as many worlds with nothing else; the same with pictures at every step, and
  :func:`sage_envs.counterfactual.render_states`, against our camera's own pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .table import OURS, Table, median_iqr
from .timing import alternating, paired_ratio, synchronizer

STEPS = 30
"""Steps of a moment lived again: one second."""
PICTURES = 8
"""Pictures of a block."""
STOCK, CAMERA, RENDER = "stock camera", "our camera", "render_states"
STEP, RELIVE, RELIVE_SEEN = "step", "counterfactual", "counterfactual, with pictures"


def measure(env: Any, rounds: int, seed: int) -> dict[str, list[float]]:
    """Seconds of each kind: a picture of all worlds, or a step of all worlds; one number a round.

    Args:
        env: The environment.
        rounds: How often each gets its turn.
        seed: Of the moments.
    """
    import torch

    from sage_envs.counterfactual import Variation

    generator = torch.Generator().manual_seed(seed)
    env.reset(seed=seed)
    for _ in range(10):
        env.step(2 * torch.rand(env.num_envs, env.action_width, generator=generator) - 1)
    rows = env.snapshot()
    actions = 2 * torch.rand(env.num_envs, STEPS, env.action_width, generator=generator) - 1
    camera, sync, same = env.scene["camera"], synchronizer(env.device), [Variation()]

    def pictures(stock: bool) -> None:
        camera._renderer.stock = stock
        try:
            for _ in range(PICTURES):
                camera.update(0.0, force_recompute=True)
        finally:
            camera._renderer.stock = False

    def steps() -> None:
        for step in range(STEPS):
            env.command(actions[:, step])
            env.advance(env.cfg.decimation)
        env.discard_ticks()

    kinds: dict[str, tuple[Callable[[], object], int]] = {
        STOCK: (lambda: pictures(True), PICTURES),
        CAMERA: (lambda: pictures(False), PICTURES),
        RENDER: (lambda: env.render_states(rows.repeat(PICTURES, 1)), PICTURES),
        STEP: (steps, STEPS),
        RELIVE: (lambda: env.counterfactuals(rows, actions, same, senses=()), STEPS),
        RELIVE_SEEN: (lambda: env.counterfactuals(rows, actions, same, senses=("visual", "depth")), STEPS),
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for kind in [*kinds, *alternating(list(kinds), rounds)]:
        run, count = kinds[kind]
        sync()
        start = time.perf_counter()
        run()
        sync()
        times[kind].append((time.perf_counter() - start) / count)
    # The first turn of each warms up.
    return {kind: seconds[1:] for kind, seconds in times.items()}


def rows_of(table: Table, times: dict[str, list[float]], worlds: int) -> None:
    """Turn times into rows.

    Args:
        table: Where they go.
        times: From :func:`measure`.
        worlds: Parallel worlds.
    """

    def rate(arm: str, case: str, metric: str, kind: str) -> None:
        table.add(arm, case, metric, *median_iqr([worlds / second for second in times[kind]]))

    table.add(OURS, "camera", "ratio_to_stock", *paired_ratio(times[STOCK], times[CAMERA]))
    rate(OURS, "camera", "images_per_s", CAMERA)
    rate("stock", "camera", "images_per_s", STOCK)
    table.add(OURS, "counterfactual", "ratio_to_step", *paired_ratio(times[STEP], times[RELIVE]))
    rate(OURS, "counterfactual", "steps_per_s", RELIVE)
    rate("step", "counterfactual", "steps_per_s", STEP)
    for kind, arm in ((RENDER, "sage-ext, render_states"), (RELIVE_SEEN, "sage-ext, with pictures")):
        table.add(arm, "counterfactual", "ratio_to_camera", *paired_ratio(times[CAMERA], times[kind]))
        table.add(arm, "counterfactual", "ratio_to_stock_camera", *paired_ratio(times[STOCK], times[kind]))
        rate(arm, "counterfactual", "images_per_s", kind)
