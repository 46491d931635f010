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

STEPS, LEARNING_RATE = 100, 0.05
OWN = 0.5
"""Share of the loss that ranks dreams against their own twins; the rest ranks them against all that is possible."""
HOLD = 0.2
"""Pull towards equal weights (a divergence in nats): few dreams teach little."""


def learn_weights(judge: Judge, impossible: Tensor, twin: Tensor, start: int) -> Tensor:
    """The weights that dreams teach; :meth:`Judge.learn` takes them.

    Deterministic: all pairs are taken at each step, and it begins from equal weights.

    Args:
        judge: What it knows of undisturbed scenes counts as possible, too.
        impossible: Evidence of impossible scenes ``(n, T, kinds * H, 15)``, n at least 1.
        twin: Of their twins, in the same order.
        start: Look from which scenes are judged.

    Returns:
        ``(kinds * H, 15)``; all above 0, their sum 1.
    """
    shape = judge.weight.shape
    device = judge.weight.device
    logits = torch.zeros(shape, device=device, requires_grad=True)
    sharpness = torch.zeros((), device=device, requires_grad=True)
    optimizer = torch.optim.Adam([logits, sharpness], lr=LEARNING_RATE)
    evidence = [(impossible, start), (twin, start), (judge.usual, 0)]
    n = len(impossible)
    for _ in range(STEPS):
        weight = logits.flatten().softmax(0).view(shape)
        score = torch.cat([judge.score(judge.weigh(e, weight).looks, first) for e, first in evidence])
        # In units of how far possible scenes differ, whatever the weights.
        score = score / score[n:].detach().std(correction=0).clamp(min=1e-6) * sharpness.exp()
        own = F.softplus(score[n : 2 * n] - score[:n]).mean()
        every = F.softplus(score[n:].unsqueeze(0) - score[:n].unsqueeze(1)).mean()
        uneven = -(weight.numel() * weight).clamp(min=1e-12).log().mean()
        optimizer.zero_grad(set_to_none=True)
        (OWN * own + (1 - OWN) * every + HOLD * uneven).backward()
        optimizer.step()
    return logits.detach().flatten().softmax(0).view(shape)
