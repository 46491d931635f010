"""Dreams: scenes that cannot happen, each beside one that can, from the same remembered moment.

A moment is staged (:mod:`.stage`) and lived as its twin. Then it is lived once more with another object, another state
or another law in force (:mod:`.violation`), and the scene is cut over at the violation: what follows is what a
simulator in that state does. Kinds come in pairs, so that what one shows at its end another shows without a violation,
as in IntPhys' quadruplets (R. Riochet et al., "IntPhys 2019: A Benchmark for Visual Intuitive Physics
Understanding", IEEE TPAMI 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .. import snapshot
from ..dream_kinds import KINDS
from .backwards import follow_late, hear_early, reverse
from .branch import Lived, live
from .plan import RELIVED, SHOWN, TABLE, Kind, look_up
from .stage import Staged, known, stage
from .valid import fit, wheel_change
from .violation import Violation

if TYPE_CHECKING:
    from ..sage_env import SageEnv

SHORTEST = 12
"""Looks a dream has at least: what happens must be seen before and after."""


@dataclass
class Dream:
    """Scenes that break a law, and their twins; see :class:`sage_ext.environment.DreamScenes`.

    Ground truth has beside the task's own names ``object_voice``, which object each sounds as, ``object_feigned``,
    whether one is shown where it is not, and ``object_color`` where colours or sizes differ from what they are.
    """

    impossible: dict[str, Tensor]
    twin: dict[str, Tensor]
    impossible_truth: dict[str, Tensor]
    twin_truth: dict[str, Tensor]
    actions: Tensor
    valid: Tensor
    at: Tensor
    law: list[str]
    kind: list[str]
    object: Tensor
    place: Tensor
    magnitude: Tensor


def known_kinds(env: SageEnv) -> tuple[str, ...]:
    """Full names of the kinds that a task has what it takes for."""
    return tuple(name for name in KINDS if known(env, TABLE[name]) and (env.feigns or TABLE[name].change not in SHOWN))


def foresee(env: SageEnv, rows: Tensor, kinds: Sequence[str]) -> Tensor:
    """Whether there is room in moments for what their kinds show, without stepping or rendering: cheap, not certain.

    Args:
        env: The environment; the first n worlds are left at the moments.
        rows: Snapshots (n, S).
        kinds: Full name of a kind a world (n).

    Returns:
        (n,) bool.
    """
    snapshot.check(env, rows, len(kinds))
    return stage(env, rows.to(env.device), look_up(kinds), 16, 0.5, torch.Generator().manual_seed(0)).fits


def dream(
    env: SageEnv,
    rows: Tensor,
    actions: Tensor,
    kinds: Sequence[str],
    *,
    difficulty: float = 0.5,
    generator: torch.Generator | None = None,
) -> Dream:
    """Break a law in each world.

    Args:
        env: The environment; where its worlds stand afterwards is of no meaning.
        rows: Snapshots (n, S). Blends take objects from each other's.
        actions: Actions (n, T, A) that lead to the looks.
        kinds: Full name of one of :func:`known_kinds` a world (n).
        difficulty: 0 breaks laws grossly and for long, 1 subtly and briefly.
        generator: Source of chance, on the CPU; one of its own, seeded from the environment's, when None.

    Raises:
        ValueError: An unknown kind, a difficulty out of range, or too few looks.
    """
    wanted, able = look_up(kinds), known_kinds(env)
    n, steps = actions.shape[:2]
    unable = [kind for kind in kinds if kind not in able]
    if unable:
        raise ValueError(f"kind={unable[0]}: this task cannot show it; use one of {', '.join(able)}")
    if steps < SHORTEST:
        raise ValueError(f"dream.looks={steps}: must be at least {SHORTEST}, to see what was before and comes after")
    if len(kinds) != n or len(rows) != n:
        raise ValueError(f"dream={len(rows)} snapshots and {len(kinds)} kinds for {n} worlds: must be as many")
    if not 0.0 <= difficulty <= 1.0:
        raise ValueError(f"dream.difficulty={difficulty}: must lie in 0..1")
    if generator is None:
        seed = int(torch.randint(2**31, (1,), generator=env.generator, device=env.device))
        generator = torch.Generator().manual_seed(seed)
    snapshot.check(env, rows, n)
    rows = _blend(env, rows.to(env.device).float(), wanted, generator)
    staged = stage(env, rows, wanted, steps, difficulty, generator)
    broken = Violation(env, rows, wanted, staged, steps, difficulty, generator)

    twin = live(env, broken.first_rows, actions, broken.first_looks)
    broken.learn(twin)
    other = twin
    if any(kind.change not in RELIVED for kind in wanted):
        unseen = int(broken.at.min())
        other = live(env, broken.second_rows(), actions, broken.second_looks, broken.act, unseen)
    return _cut(env, wanted, kinds, staged, broken, twin, other, actions)


def _cut(
    env: SageEnv,
    wanted: list[Kind],
    kinds: Sequence[str],
    staged: Staged,
    broken: Violation,
    twin: Lived,
    other: Lived,
    actions: Tensor,
) -> Dream:
    """The first branch up to the violation, the second from there on."""
    n, steps = actions.shape[:2]

    def of(change: str) -> Tensor:
        return torch.tensor([kind.change == change for kind in wanted], device=env.device)

    # What has only now turned out: when things met, and when wheels turned.
    at = broken.meet(twin, other)
    at = torch.where(of("wheels-follow"), wheel_change(env, twin), at)
    later = torch.arange(steps, device=env.device) >= at.unsqueeze(1)

    def cut(one: dict[str, Tensor], two: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: torch.where(later.view(n, steps, *[1] * (v.dim() - 2)), two[k], v) for k, v in one.items()}

    def mixed(which: Tensor, one: dict[str, Tensor], two: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: torch.where(which.view(n, *[1] * (v.dim() - 1)), one[k], v) for k, v in two.items()}

    _alike(twin.truth, other.truth)
    impossible, truth = cut(twin.policy, other.policy), cut(twin.truth, other.truth)
    if bool(of("reversal").any()):
        policy, backwards = reverse(env, twin, at)
        impossible, truth = mixed(of("reversal"), policy, impossible), mixed(of("reversal"), backwards, truth)
    if bool(of("early-sound").any()):
        impossible = mixed(of("early-sound"), hear_early(env, twin, at, staged.lead), impossible)
    if bool(of("wheels-follow").any()):
        impossible = mixed(of("wheels-follow"), follow_late(env, twin, at, staged.lead), impossible)
    acted = actions.to(env.device)
    world = torch.arange(n, device=env.device)
    whole = of("wheels-follow") | of("reversal")
    still = env.robot.data.root_link_pose_w.torch[:n, :3] - env.scene.env_origins[:n]
    robot = twin.truth["robot_pose"][world, at, :3] if "robot_pose" in twin.truth else still
    place = torch.where(
        of("appear").unsqueeze(1), staged.spot[:, :3], twin.truth["object_pose"][world, at, broken.mark, :3]
    )
    return Dream(
        impossible=impossible,
        twin=twin.policy,
        impossible_truth=truth,
        twin_truth=twin.truth,
        actions=torch.cat([acted[:, 1:], acted[:, -1:]], dim=1),
        valid=fit(env, wanted, staged, broken, at, twin, other, impossible),
        at=at,
        law=[name.split("/")[0] for name in kinds],
        kind=[name.split("/")[1] for name in kinds],
        object=torch.where(whole, -1, broken.mark),
        place=torch.where(of("wheels-follow").unsqueeze(1), robot, place),
        magnitude=broken.magnitude(twin, at),
    )


def _alike(one: dict[str, Tensor], two: dict[str, Tensor]) -> None:
    """Give two branches the same names of ground truth: what only one tells of is as that one has it."""
    for name in set(one) ^ set(two):
        one.setdefault(name, two.get(name, one.get(name)))  # type: ignore[arg-type]
        two.setdefault(name, one[name])


def _blend(env: SageEnv, rows: Tensor, kinds: Sequence[Kind], generator: torch.Generator) -> Tensor:
    """Take the objects of blended scenes from up to three other moments of the batch, in turn.

    An object that would stand in something is left where it was.
    """
    from .blend import blend

    which = torch.tensor([kind.blended for kind in kinds], device=env.device)
    return blend(env, rows, which, generator) if bool(which.any()) else rows
