"""A critic that learns from many dreams: more than weights of evidence, from frozen contexts and from what is heard.

It follows each loose object by where the context says it is and what it looks like there. Beside these it is told what
the body feels, what is heard and how that compares with what was heard before, and the judge's own evidence. A few
convolutions over time, the same for all objects, tell how impossible each look is. It learns by ranking dreams above
their own twins, and above everything possible.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sage_ext.context.layout import GROUPS, PLACE, SEEN, TRAIT, TRAITS
from sage_ext.context.stems import MEL_BANDS
from sage_ext.surprise.judge import Judge

WIDTH, DROP = 96, 0.2
DILATIONS = (1, 2, 4)
"""Of its convolutions: together they see 15 looks."""
BESIDE = 48
"""Numbers in which each track is told of all that is not of its object."""
CRITICS = 3
"""Critics whose mean judges. Each leaves out a third of the lessons, which it alone judges: on what it learned from, a
critic is far too sure, and coherence calibrated on that is wrong."""
EPOCHS, BATCH, MOST = 30, 48, 1500
"""Passes over the lessons, pairs an update, and updates at most."""
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.05
LIMIT = 12.0
"""Standard deviations at which clues are cut."""
FAST = 5.0
"""Brings how a place moves from look to look to the size of where it is."""
BEGINS = 6.0
"""A sound begins where the loudest band is so much louder than a look before [dB]."""
TONE, LOUDER, SINCE = 4.0, 10.0, 6.0
"""Bring what is told of a sound that begins to a size of about 1 [dB, dB, looks]."""
ECHO = 4
"""Numbers that compare a sound with those before."""
THERE = 1.5
"""The last number of a place, from which its object counts as seen: half of what it is where that is sure."""
CHUNK = 512
"""Scenes judged at once."""


@torch.no_grad()
def clues(judge: Judge, context: Tensor, evidence: Tensor, objects: int, audio: Tensor | None) -> Tensor:
    """What the critic is told ``(n, T, 11 * objects + c)``.

    Args:
        judge: Fitted on undisturbed scenes.
        context: Frozen contexts ``(n, T, 4096)``.
        evidence: The judge's, of these scenes ``(n, T, kinds * H, 15)``.
        objects: Loose objects of the scenes.
        audio: What is heard of them ``(n, T, 64 * frames)`` [dB], where anything is.
    """
    codes = judge.forecaster.code(context).unflatten(-1, (len(GROUPS), -1))
    parts = [
        context[..., SEEN][..., : PLACE * objects],
        context[..., TRAITS][..., : TRAIT * objects],
        codes[..., list(GROUPS).index("proprioceptive"), :],
        context.new_zeros(*context.shape[:2], MEL_BANDS + ECHO) if audio is None else heard(audio).to(context),
        evidence.nan_to_num().flatten(2),
    ]
    return torch.cat([part.clamp(-LIMIT, LIMIT) for part in parts], -1)


def heard(audio: Tensor) -> Tensor:
    """How loud each band is, and how a sound compares with those before ``(n, T, 68)``.

    What falls twice sounds alike both times, unless it is of another material or mass by then. Of a sound that begins:
    1; how far its spectrum is from the nearest of those that began before; how much louder it is than the last of them,
    and how long ago that was.

    Args:
        audio: ``(n, T, 64 * frames)`` [dB].
    """
    bands = audio.float().unflatten(-1, (MEL_BANDS, -1)).amax(-1)
    level, tone = bands.amax(-1), bands - bands.mean(-1, keepdim=True)
    looks = torch.arange(level.shape[1], device=level.device)
    begins = F.pad(level[:, 1:] - level[:, :-1] > BEGINS, (1, 0))
    before = begins.unsqueeze(2) & begins.unsqueeze(1) & (looks.unsqueeze(1) > looks)
    apart = (tone.unsqueeze(2) - tone.unsqueeze(1)).abs().mean(-1)
    nearest = torch.where(before, apart, torch.inf).amin(-1)
    last = torch.where(before, looks, -1).amax(-1)
    told = [nearest / TONE, (level - level.gather(1, last.clamp(min=0))) / LOUDER, (looks - last) / SINCE]
    compared = torch.where((last >= 0).unsqueeze(-1), torch.stack(told, -1), 0.0)
    return torch.cat([(bands + 80.0) / 20.0, begins.unsqueeze(-1).float(), compared], -1)


def tracks(places: Tensor, traits: Tensor) -> Tensor:
    """Where objects are seen, what they look like, and how both change ``(n, T, B, f)``.

    Args:
        places: What the context says of each ``(n, T, B, 7)``.
        traits: What it says of how each looks ``(n, T, B, 4)``.
    """
    there = (places[..., -1:] > THERE).float()
    place = places[..., :-1] * there
    both = there * _before(there)
    moved = (place - _before(place)) * both
    # All others move as the camera does.
    others = both.sum(2, keepdim=True) - both
    shared = (moved.sum(2, keepdim=True) - moved) / others.clamp(min=1.0)
    turned = (moved - _before(moved)) * both * _before(both)
    found = [place, places[..., -1:], FAST * moved, FAST * turned, FAST * shared, others / 4]
    traits = traits * there
    return torch.cat([*found, traits, 2.0 * (traits - _before(traits)) * both], -1)


def _before(values: Tensor) -> Tensor:
    return torch.cat([values[:, :1], values[:, :-1]], 1)


class Critic(nn.Module):
    """How impossible scenes are.

    Args:
        clues: How many it sees of a look.
        objects: Loose objects, whose places come first.
    """

    def __init__(self, clues: int, objects: int) -> None:
        super().__init__()
        self.objects = objects
        self.beside = nn.Sequential(nn.Dropout(DROP), nn.Linear(clues - (PLACE + TRAIT) * objects, BESIDE), nn.GELU())
        # What is beside the objects has a track of its own.
        own = tracks(torch.zeros(1, 1, objects, PLACE), torch.zeros(1, 1, objects, TRAIT)).shape[-1]
        self.begin = nn.Linear(own + BESIDE + objects + 1, WIDTH)
        self.over_time = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 3, padding=d, dilation=d) for d in DILATIONS)
        self.drop = nn.Dropout(DROP)
        self.end = nn.Sequential(nn.Linear(2 * WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, 1))

    def forward(self, seen: Tensor, start: int) -> Tensor:
        """Scores ``(n,)`` of clues ``(n, T, c)``; looks before ``start`` are seen, but not judged."""
        n, looks = seen.shape[:2]
        ends = PLACE * self.objects, (PLACE + TRAIT) * self.objects
        places, traits, rest = seen.float().tensor_split(ends, -1)
        told = places.unflatten(-1, (self.objects, PLACE)), traits.unflatten(-1, (self.objects, TRAIT))
        own = F.pad(tracks(*told), (0, 0, 0, 1))
        beside = self.beside(rest).unsqueeze(2).expand(-1, -1, self.objects + 1, -1)
        which = torch.eye(self.objects + 1, device=seen.device).expand(n, looks, -1, -1)
        x = F.gelu(self.begin(torch.cat([own, beside, which], -1))).permute(0, 2, 3, 1).flatten(0, 1)
        for layer in self.over_time:
            x = x + F.gelu(layer(self.drop(x)))
        x = x.unflatten(0, (n, -1))
        found = torch.cat([x.amax(1), x.mean(1)], 1).transpose(1, 2)
        impossible: Tensor = self.end(self.drop(found)).squeeze(-1)[:, start:]
        return impossible.logsumexp(1)


def learn_critic(impossible: Tensor, twin: Tensor, possible: Tensor, start: int, objects: int, seed: int = 0) -> Critic:
    """A critic that dreams have taught.

    Args:
        impossible: Clues of impossible scenes ``(n, T, c)``.
        twin: Of their twins, in the same order.
        possible: Of other possible scenes ``(m, T, c)``.
        start: Look from which scenes are judged.
        objects: Loose objects.
        seed: Of its first weights, its dropout and its batches.
    """
    steps = min(MOST, EPOCHS * -(-len(impossible) // BATCH))
    with torch.random.fork_rng([impossible.device] if impossible.is_cuda else []):
        torch.manual_seed(seed)
        critic = Critic(impossible.shape[-1], objects).to(impossible.device)
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


def criticised(seen: dict[str, Tensor], known: Tensor, some: Tensor, start: int, objects: int) -> dict[str, Tensor]:
    """Scores of all scenes, by critics that learn from some of the lessons.

    Args:
        seen: Clues of the sets ``lessons``, ``lessons_twin`` and any others, each ``(n, T, c)``.
        known: Clues of possible scenes to learn from ``(m, T, c)``.
        some: Numbers of the lessons that may be learned from ``(k,)``, k at least :data:`CRITICS`.
        start: Look from which scenes are judged.
        objects: Loose objects.

    Returns:
        Set -> ``(n,)``. A lesson that was learned from is judged by the critic that left it out.
    """
    fold = torch.arange(len(some), device=some.device) % CRITICS
    critics = []
    for number in range(CRITICS):
        own = some[fold != number]
        critics.append(learn_critic(seen["lessons"][own], seen["lessons_twin"][own], known, start, objects, number))
    with torch.no_grad():
        said = {
            name: torch.stack([torch.cat([critic(part, start) for part in value.split(CHUNK)]) for critic in critics])
            for name, value in seen.items()
        }
    found = {name: value.mean(0) for name, value in said.items()}
    for name in ("lessons", "lessons_twin"):
        found[name][some] = said[name][fold, some]
    return found
