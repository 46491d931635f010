"""Learning from dreams: which evidence tells the impossible from the possible, by a ranking loss.

Weights stay non-negative and few, one for each horizon, kind of evidence and group, so that what is learned from one
broken law can serve for another: more surprise never counts as more possible. Each dream is ranked against its own
twin, and against every other possible scene, unusual ones among them: those hold the weights back from what
is merely rare.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .judge import Judge

STEPS, LEARNING_RATE = 300, 0.05
OWN = 0.5
"""Share of the loss that ranks dreams against their own twins; the rest ranks them against all that is possible."""
HOLD = 0.02
"""Pull towards equal weights (a divergence in nats): few dreams teach little."""


def learn_weights(judge: Judge, impossible: Tensor, twin: Tensor, possible: Tensor, start: int) -> float:
    """Set a judge's weights by what dreams teach.

    Deterministic: all pairs are taken at each step. The scale of scores changes with the weights:
    :meth:`Judge.rescale` it afterwards.

    Args:
        judge: Its weights are replaced, beginning anew from equal ones.
        impossible: Evidence of impossible scenes ``(n, T, kinds * H, 15)``.
        twin: Of their twins.
        possible: Of other possible scenes ``(m, T, kinds * H, 15)``, unusual physics among them; m may be 0.
        start: Look from which scenes are judged.

    Returns:
        The loss at the end: log 2 where nothing was learned, 0 where all are told apart.
    """
    shape = judge.weight.shape
    logits = torch.zeros(shape, requires_grad=True)
    sharpness = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.Adam([logits, sharpness], lr=LEARNING_RATE)
    evidence = torch.cat([impossible, twin, possible]).float().cpu()
    n, loss = len(impossible), torch.zeros(())
    for _ in range(STEPS):
        weight = logits.flatten().softmax(0).view(shape)
        # In units of how far possible scenes differ, whatever the weights.
        score = judge.score(judge.weigh(evidence, weight).looks, start)
        score = score / score[n:].detach().std(correction=0).clamp(min=1e-6) * sharpness.exp()
        own = F.softplus(score[n : 2 * n] - score[:n]).mean()
        every = F.softplus(score[n:].unsqueeze(0) - score[:n].unsqueeze(1)).mean()
        uneven = -(weight.numel() * weight).clamp(min=1e-12).log().mean()
        loss = OWN * own + (1 - OWN) * every
        optimizer.zero_grad(set_to_none=True)
        (loss + HOLD * uneven).backward()
        optimizer.step()
    with torch.no_grad():
        judge.weight.copy_(logits.flatten().softmax(0).view(shape))
    return float(loss.detach())
