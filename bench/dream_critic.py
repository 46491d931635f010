"""A critic that learns from many dreams: more than weights of evidence, from the same frozen contexts.

It sees each look's context, what a judge's forecaster makes of it (how it moved, in what it was not as foretold) and
the judge's own evidence. A few convolutions over time tell how impossible each look is. It learns by ranking dreams
above their own twins, and above everything possible.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sage_ext.surprise.judge import Judge

HORIZONS = (1, 4)
"""Looks ahead, of what was foretold, that it compares with what came."""
WIDTH, DROP = 128, 0.3
DILATIONS = (1, 2, 4)
"""Of its convolutions: together they see 15 looks."""
CRITICS = 3
"""Critics whose mean judges. Each leaves out a third of the lessons, which it alone judges: on what it learned from, a
critic is far too sure, and coherence calibrated on that is wrong."""
EPOCHS, BATCH, MOST = 16, 64, 1000
"""Passes over the lessons, pairs an update, and updates at most."""
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.05
RANGED = 500
"""Scenes that tell how far each clue ranges."""
LIMIT = 12.0
"""Standard deviations at which clues are cut."""
CHUNK = 512
"""Scenes judged at once."""


@torch.no_grad()
def clues(judge: Judge, context: Tensor, actions: Tensor) -> Tensor:
    """What the critic sees ``(n, T, c)``.

    Args:
        judge: Fitted on undisturbed scenes.
        context: Frozen contexts ``(n, T, 4096)``.
        actions: What was done after each look ``(n, T, A)``.
    """
    forecaster = judge.forecaster
    parts = [
        context - forecaster.mean,
        forecaster.recall(forecaster.code(context)),
        judge.evidence(context, actions).nan_to_num().flatten(2),
    ]
    for h, told in forecaster.unroll(context, actions).items():
        if h in HORIZONS:
            missed = forecaster.code(context[:, h:]) - forecaster.code(told.mean)
            parts.append(F.pad(missed, (0, 0, h, 0)))
    # Thousands of scenes have to fit into a GPU.
    kind = torch.float16 if context.is_cuda else torch.float32
    return torch.cat([part.clamp(-LIMIT, LIMIT).to(kind) for part in parts], -1)


class Critic(nn.Module):
    """How impossible scenes are.

    Args:
        clues: How many it sees of a look.
    """

    scale: Tensor

    def __init__(self, clues: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(clues))
        self.begin, self.drop, self.end = nn.Linear(clues, WIDTH), nn.Dropout(DROP), nn.Linear(WIDTH, 1)
        self.over_time = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 3, padding=d, dilation=d) for d in DILATIONS)

    def forward(self, seen: Tensor, start: int) -> Tensor:
        """Scores ``(n,)`` of clues ``(n, T, c)``; looks before ``start`` are seen, but not judged."""
        x = F.gelu(self.begin(self.drop(seen.float() / self.scale))).transpose(1, 2)
        for layer in self.over_time:
            x = x + F.gelu(layer(self.drop(x)))
        looks: Tensor = self.end(x.transpose(1, 2)).squeeze(-1)[:, start:]
        return looks.logsumexp(1)


def learn_critic(impossible: Tensor, twin: Tensor, possible: Tensor, start: int, seed: int = 0) -> Critic:
    """A critic that dreams have taught.

    Args:
        impossible: Clues of impossible scenes ``(n, T, c)``.
        twin: Of their twins, in the same order.
        possible: Of other possible scenes ``(m, T, c)``.
        start: Look from which scenes are judged.
        seed: Of its first weights, its dropout and its batches.
    """
    steps = min(MOST, EPOCHS * -(-len(impossible) // BATCH))
    with torch.random.fork_rng([impossible.device] if impossible.is_cuda else []):
        torch.manual_seed(seed)
        critic = Critic(impossible.shape[-1]).to(impossible.device)
        some = torch.cat([twin[:RANGED], possible[:RANGED]]).flatten(0, 1).float()
        critic.scale.copy_(some.std(0, correction=0).clamp(min=0.3))
        optimizer = torch.optim.AdamW(critic.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
        for _ in range(steps):
            pair = torch.randint(len(impossible), (BATCH,), device=impossible.device)
            other = torch.randint(len(possible), (BATCH // 2,), device=impossible.device)
            score = critic(torch.cat([impossible[pair], twin[pair], possible[other]]), start)
            dreamt, own = score[:BATCH], score[BATCH : 2 * BATCH]
            every = F.softplus(score[BATCH:].unsqueeze(0) - dreamt.unsqueeze(1)).mean()
            optimizer.zero_grad(set_to_none=True)
            (0.5 * F.softplus(own - dreamt).mean() + 0.5 * every).backward()
            optimizer.step()
            rate.step()
    return critic.eval()


def criticised(seen: dict[str, Tensor], some: Tensor, start: int) -> dict[str, Tensor]:
    """Scores of all scenes, by critics that learn from some of the lessons.

    Args:
        seen: Clues of the sets ``usual``, ``lessons``, ``lessons_twin`` and any others, each ``(n, T, c)``.
        some: Numbers of the lessons that may be learned from ``(k,)``, k at least :data:`CRITICS`.
        start: Look from which scenes are judged.

    Returns:
        Set -> ``(n,)``. A lesson that was learned from is judged by the critic that left it out.
    """
    fold = torch.arange(len(some), device=some.device) % CRITICS
    critics = []
    for number in range(CRITICS):
        own = some[fold != number]
        critics.append(learn_critic(seen["lessons"][own], seen["lessons_twin"][own], seen["usual"], start, number))
    with torch.no_grad():
        said = {
            name: torch.stack([torch.cat([critic(part, start) for part in value.split(CHUNK)]) for critic in critics])
            for name, value in seen.items()
        }
    found = {name: value.mean(0) for name, value in said.items()}
    for name in ("lessons", "lessons_twin"):
        found[name][some] = said[name][fold, some]
    return found
