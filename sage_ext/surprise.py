"""Surprise, and coherence: how possible the mind holds what it perceives.

Surprise is the error of predicting the context some steps ahead, as a negative log-likelihood,
normalised group by group on undisturbed experience. A scene's surprise is the mean of its worst
looks. Coherence is where that lies among undisturbed experience: the share of possible scenes
that surprised as much or more (a conformal p-value, smoothed by a kernel). It is near 0 for what never
happened before and averages one half over what did.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .environment import Observation
from .mind import Mind, with_speed

WORST = 3
"""Looks that make up a scene's surprise."""
CHUNK = 16


@dataclass
class Scale:
    """Surprise of undisturbed experience.

    Attributes:
        mean: Mean of each horizon's and group's surprise (H, 15).
        deviation: Its standard deviation (H, 15).
        scores: Scenes' surprises, sorted (n,).
    """

    mean: Tensor
    deviation: Tensor
    scores: Tensor

    def coherence(self, score: Tensor) -> Tensor:
        """Coherence of scenes with these surprises (n,) -> (n,), in 0..1."""
        n = len(self.scores)
        # A Gaussian kernel over the ranks' steps (Silverman's width) orders scenes between two of them.
        width = (1.06 * self.scores.std(correction=0) * n**-0.2).clamp(min=1e-6)
        more = torch.special.ndtr((self.scores - score.unsqueeze(1)) / width).sum(1)
        return (more + 0.5) / (n + 1.0)


def _raw(mind: Mind, observation: Observation, actions: Tensor) -> Tensor:
    """Surprise of each look by horizon and group (n, T, H, 15); NaN where nothing was predicted."""
    predictor = mind.acting.predictor
    out = []
    with torch.no_grad():
        for start in range(0, len(actions), CHUNK):
            piece = {k: v[start : start + CHUNK] for k, v in observation.items()}
            context = mind.encode(piece)
            acts = with_speed(actions[start : start + CHUNK], 1.0).to(mind.device)
            found = predictor.unroll(context, acts)
            raw = torch.full((*context.shape[:2], len(predictor.horizons), 15), torch.nan, device=mind.device)
            for i, h in enumerate(predictor.horizons):
                if h in found:
                    raw[:, h:, i] = found[h].surprise(context[:, h:])
            out.append(raw)
    return torch.cat(out)


def calibrate(mind: Mind, observation: Observation, actions: Tensor, start: int) -> Scale:
    """Learn what undisturbed experience surprises like.

    Args:
        mind: The mind that is to judge.
        observation: Undisturbed scenes, sense -> (n, T, ...).
        actions: What was done after each look (n, T, A).
        start: Look from which scenes are judged.
    """
    raw = _raw(mind, observation, actions)[:, start:]
    flat = raw.flatten(0, 1)
    mean = flat.nanmean(0)
    deviation = (flat - mean).square().nanmean(0).sqrt().clamp(min=1e-6)
    return Scale(mean, deviation, torch.sort(_score(raw, mean, deviation)).values)


def look_surprise(mind: Mind, scale: Scale, observation: Observation, actions: Tensor) -> Tensor:
    """Normalised surprise of each look (n, T): mean over horizons and groups of standard scores."""
    raw = _raw(mind, observation, actions)
    return ((raw - scale.mean) / scale.deviation).nanmean(dim=(2, 3))


def judge(
    mind: Mind, scale: Scale, observation: Observation, actions: Tensor, start: int | Tensor
) -> tuple[Tensor, Tensor]:
    """How possible scenes are.

    Args:
        mind: The mind that judges.
        scale: From :func:`calibrate`.
        observation: Scenes, sense -> (n, T, ...).
        actions: What was done after each look (n, T, A).
        start: Look from which scenes are judged, one for all or one a scene (n,).

    Returns:
        Coherence (n,) and normalised surprise of each look (n, T).
    """
    looks = look_surprise(mind, scale, observation, actions)
    begin = torch.as_tensor(start, device=looks.device).expand(len(looks)).unsqueeze(1)
    judged = looks.masked_fill(torch.arange(looks.shape[1], device=looks.device) < begin, -torch.inf)
    worst = judged.topk(min(WORST, looks.shape[1] - int(begin.max())), dim=1).values.mean(dim=1)
    return scale.coherence(worst), looks


def _score(raw: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    looks = ((raw - mean) / deviation).nanmean(dim=(2, 3))
    return looks.topk(min(WORST, looks.shape[1]), dim=1).values.mean(dim=1)
