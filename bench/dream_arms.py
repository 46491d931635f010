"""The arms of the dream bench: how each tells what is possible from what is not.

An arm gives every scene a surprise. What else it may do, and with which scenes, is the same for all: what has to be
learned of undisturbed experience comes from ``known`` and ``usual``, what is learned of dreams from ``lessons``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sage_ext.context.layout import CONTEXT_WIDTH, GROUPS, LOOSE
from sage_ext.mind import Mind
from sage_ext.surprise.calibration import pairwise_accuracy
from sage_ext.surprise.geometry import SIGNALS, geometric_signals, standard_mean
from sage_ext.surprise.readout import learn_weights
from sage_ext.surprise.scenes import contexts, learn

from .dream_critic import CHUNK, clues, criticised
from .dream_scenes import LOOKS, Scenes, Sets

if TYPE_CHECKING:
    from sage_ext.environment import Observation

START = LOOKS // 4
"""Look from which scenes are judged: nobody tells the judge when a law is broken."""
SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the critic's word beside the evidence, of which the lessons that it did not learn from choose one."""
JUDGED = ("usual", "lessons", "lessons_twin", "judged", "judged_twin", "unusual")
"""The sets whose scenes get a surprise."""

Scores = dict[str, Tensor]
"""Set -> surprise of each of its scenes (n,)."""
Left = str | None
"""A law whose dreams nothing may be learned from; None is no law."""


@dataclass
class Scorer:
    """What an arm makes of the scenes.

    Attributes:
        scores: The surprises, given the law that nothing may be learned from.
        learns: Whether what they are depends on dreams at all.
    """

    scores: Callable[[Left], Scores]
    learns: bool = False


@dataclass
class Judged:
    """The arms of a mind that share its contexts and its judge.

    Attributes:
        equal: All evidence weighs the same.
        taught: It weighs as the lessons teach.
        critical: Beside it counts what a critic says that learned from the lessons, see :mod:`.dream_critic`.
    """

    equal: Scorer
    taught: Scorer
    critical: Scorer


def by_judge(mind: Mind, sets: Sets, slept: bool, senses: tuple[str, ...] | None = None) -> Judged:
    """A mind and a judge of its contexts.

    Args:
        mind: The mind.
        sets: The scenes.
        slept: Whether the judge also knows scenes under other physics, as those do who sleep.
        senses: Which it has; all by default.
    """
    lived = [sets.known, sets.varied] if slept else [sets.known]
    context = torch.cat([contexts(mind, _seen(scenes, senses)) for scenes in lived])
    actions = torch.cat([scenes.actions for scenes in lived])
    order = torch.randperm(len(context), generator=torch.Generator().manual_seed(0))
    judge = learn(context[order.to(context.device)], actions[order], START, 2 * len(order) // 3)
    evidence: dict[str, Tensor] = {}
    seen: dict[str, Tensor] = {}
    objects = min(mind.objective.heads.bodies, LOOSE)

    def told(context: Tensor, scenes: Sequence[Scenes]) -> tuple[Tensor, Tensor]:
        """Evidence of scenes, and what a critic is told of them."""
        found, actions = [], torch.cat([part.actions for part in scenes])
        audio = None
        if senses is None or "audio" in senses:
            audio = torch.cat([part.senses["audio"] for part in scenes])
        for first in range(0, len(context), CHUNK):
            here = slice(first, first + CHUNK)
            own = judge.evidence(context[here], actions[here].to(mind.device))
            hears = None if audio is None else audio[here].to(mind.device)
            found.append((own, clues(judge, context[here], own, objects, hears)))
        evidence, seen = (torch.cat(parts) for parts in zip(*found, strict=True))
        return evidence, seen

    _, known = told(context, lived)
    for name in JUDGED:
        scenes: Scenes = getattr(sets, name)
        evidence[name], seen[name] = told(contexts(mind, _seen(scenes, senses)), [scenes])

    def kept(left: Left) -> Tensor:
        return torch.tensor([law != left for law in sets.lessons.law], device=mind.device)

    @cache
    def weighed(left: Left) -> Scores:
        some = kept(left)
        weight = learn_weights(judge, evidence["lessons"][some], evidence["lessons_twin"][some], START)
        return {name: judge.score(judge.weigh(value, weight).looks, START).cpu() for name, value in evidence.items()}

    def equal(_: Left) -> Scores:
        return {name: judge.score(judge.weigh(value).looks, START).cpu() for name, value in evidence.items()}

    @cache
    def critical(left: Left) -> Scores:
        some = kept(left).nonzero().squeeze(1)
        said = {k: v.cpu() for k, v in criticised(seen, known, some, START, objects).items()}
        parts = [{name: _standard(scores, name) for name in JUDGED} for scores in (weighed(left), said)]
        mixed = [{k: (1 - share) * parts[0][k] + share * parts[1][k] for k in JUDGED} for share in SHARES]
        own = some.cpu()
        return max(mixed, key=lambda s: pairwise_accuracy(s["lessons"][own], s["lessons_twin"][own]))

    return Judged(Scorer(equal), Scorer(weighed, learns=True), Scorer(critical, learns=True))


def _standard(scores: Scores, name: str) -> Tensor:
    """Surprises in standard scores of what is usual."""
    usual = scores["usual"]
    return (scores[name] - usual.mean()) / usual.std(correction=0).clamp(min=1e-6)


def seeds_coherence(mind: Mind, sets: Sets) -> Scorer:
    """What the document this project began from calls coherence: 1 - the entropy of a softmax of the context."""

    def disorder(scenes: Scenes) -> Tensor:
        share = contexts(mind, scenes.senses)[:, START:].log_softmax(-1)
        return (-(share.exp() * share).sum(-1) / math.log(CONTEXT_WIDTH)).mean(1).cpu()

    return _fixed(sets, disorder)


def by_geometry(sets: Sets, path: Callable[[Observation], Tensor]) -> tuple[Scorer, Scorer]:
    """GeoPhys: the mean of the five signals, and the one that does best on the lessons, turned the way it does.

    Args:
        sets: The scenes.
        path: Senses -> the trajectory ``(n, T, d)``.
    """
    signals = {name: geometric_signals(path(getattr(sets, name).senses)) for name in JUDGED}

    def mean(_: Left) -> Scores:
        return {name: standard_mean(value, signals["usual"]) for name, value in signals.items()}

    each = [{name: value[:, i] for name, value in signals.items()} for i in range(len(SIGNALS))]
    return Scorer(mean), _best(sets, each)


def by_amount(sets: Sets, amount: Callable[[Observation], Tensor]) -> Scorer:
    """One number of the senses, turned the way it does best on the lessons."""
    return _best(sets, [{name: amount(getattr(sets, name).senses) for name in JUDGED}])


def encoded_pictures(mind: Mind) -> Callable[[Observation], Tensor]:
    """Trajectories of what the encoder makes of each picture: its group ``visual``, which has no memory."""
    return lambda senses: contexts(mind, {"visual": senses["visual"]})[..., GROUPS["visual"].slice].cpu()


def pixels(senses: Observation) -> Tensor:
    """Trajectories of raw pixels, in 0..1."""
    return senses["visual"].flatten(2).float() / 255


def pixel_motion(senses: Observation) -> Tensor:
    """Total change of the pixels from look to look ``(n,)``."""
    path = pixels(senses)
    return (path[:, 1:] - path[:, :-1]).abs().mean((1, 2))


def loudness(senses: Observation) -> Tensor:
    """Mean level of what is heard ``(n,)`` [dB]."""
    return senses["audio"].flatten(1).mean(1)


def _best(sets: Sets, each: list[Scores]) -> Scorer:
    def chosen(left: Left) -> Scores:
        kept = torch.tensor([law != left for law in sets.lessons.law])
        accuracy = [pairwise_accuracy(s["lessons"][kept], s["lessons_twin"][kept]) for s in each]
        best = max(range(len(each)), key=lambda i: abs(accuracy[i] - 0.5))
        sign = 1.0 if accuracy[best] >= 0.5 else -1.0
        return {name: sign * value for name, value in each[best].items()}

    return Scorer(chosen, learns=True)


def _fixed(sets: Sets, score: Callable[[Scenes], Tensor]) -> Scorer:
    scores = {name: score(getattr(sets, name)) for name in JUDGED}
    return Scorer(lambda _: scores)


def _seen(scenes: Scenes, senses: tuple[str, ...] | None) -> Observation:
    return {k: v for k, v in scenes.senses.items() if senses is None or k in senses}
