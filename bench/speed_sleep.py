"""Sleep against the pure cost of learning: consolidation beside forward, backward and optimizer alone.

Both see the same moments, remembered by the wake that was measured before and re-lived already, in batches of the same
size. Pure is one batch prepared beforehand, again and again: loss, ``backward``, ``optimizer.step``, and nothing else.
:func:`sage_ext.sleep.consolidate` also prepares its batches, reads the losses out, and works out what a collapsed
encoder would have lost. What re-living itself takes is told apart.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .timing import Parts, alternating, synchronizer

if TYPE_CHECKING:
    from sage_ext.memory import Memory
    from sage_ext.mind import Mind
    from sage_ext.sleep import Moments

PURE, SLEEP = "pure", "sleep"
UPDATES = 2
"""Updates of a block."""


@dataclass
class Times:
    """What was measured.

    Attributes:
        blocks: ``pure`` and ``sleep`` -> seconds an update, one number a block, in the order of the rounds.
        parts: Part -> seconds an update of consolidation.
        watched: Seconds an update while the parts were watched.
        reliving: Seconds in the simulator for the moments of an update.
    """

    blocks: dict[str, list[float]] = field(default_factory=lambda: {PURE: [], SLEEP: []})
    parts: dict[str, float] = field(default_factory=dict)
    watched: float = 0.0
    reliving: float = 0.0


def measure(env: Any, mind: Mind, memory: Memory, config: Any, rounds: int, seed: int) -> Times:
    """Re-live some moments, then learn from them in both ways, block by block.

    Args:
        env: The environment the memory was lived in.
        mind: Learns.
        memory: Holds complete episodes.
        config: ``sleep`` of the run's config.
        rounds: How often each gets its turn.
        seed: Of moments and variations.
    """
    import torch

    from sage_ext.sleep import consolidate, relive_moments
    from sage_ext.sleep.train import updates

    times = Times()
    sync = synchronizer(env.device)
    generator = torch.Generator().manual_seed(seed)
    count = UPDATES * config.batch
    start = time.perf_counter()
    moments = relive_moments(env, memory, config, count, 0, generator)
    times.reliving = (time.perf_counter() - start) / UPDATES
    # Batches of the same sizes, looks included.
    prepared = [moments.batch(which, mind.device) for (which,) in updates(moments.looks, config, generator)]

    def pure() -> None:
        mind.objective.train()
        for batch in prepared:
            losses = mind.objective(batch, generator)
            mind.optimizer.zero_grad(set_to_none=True)
            losses["loss"].backward()
            mind.optimizer.step()

    def sleep() -> None:
        consolidate(mind, moments, config, generator)

    learn = {PURE: pure, SLEEP: sleep}
    with mind.at_work():
        sleep()  # Finds its scale, makes the optimizer's state, warms the device up.
        pure()
        for kind in alternating((PURE, SLEEP), rounds):
            sync()
            start = time.perf_counter()
            learn[kind]()
            sync()
            times.blocks[kind].append((time.perf_counter() - start) / UPDATES)
        with stopwatches(Parts(sync), mind, moments) as parts:
            start = time.perf_counter()
            sleep()
            sync()
            times.watched = (time.perf_counter() - start) / UPDATES
    times.parts = {name: value / UPDATES for name, value in parts.seconds.items()}
    return times


def stopwatches(parts: Parts, mind: Mind, moments: Moments) -> Parts:
    """Say which methods make up which part of an update."""
    import torch

    parts.method("batch preparation", type(moments), "batch")
    parts.method("forward", mind.objective, "forward")
    parts.method("backward", torch.Tensor, "backward")
    parts.method("optimizer", mind.optimizer, "step", "zero_grad")
    parts.method("average of weights", mind.average, "update_parameters")
    parts.method("collapsed loss", mind.objective, "collapsed")
    return parts
