"""A remembered moment lived again: equal bits under equal conditions, and how far the original is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from .worlds import MAKE, Stage

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

WORLDS, STEPS = 4, 60


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=WORLDS, **MAKE)
    yield env
    env.close()


def plan(scale: float = 1.0) -> Tensor:
    """Random actions (STEPS, N, 2), each held for ten steps."""
    draw = torch.rand(STEPS // 10, WORLDS, 2, generator=torch.Generator().manual_seed(0))
    return scale * (1.6 * draw - 0.6).repeat_interleave(10, dim=0)


def live(env: SageEnv, actions: Tensor) -> Tensor:
    """Snapshots after each step (STEPS, N, S); nothing is rendered."""
    rows = []
    for action in actions:
        env.command(action)
        env.advance(env.cfg.decimation)
        rows.append(env.snapshot())
    return torch.stack(rows)


def gap(env: SageEnv, a: Tensor, b: Tensor) -> tuple[float, float]:
    """Largest difference of any body in place [m] and attitude [rad]."""
    from sage_envs.snapshot import layout

    where = layout(env)
    pose = [
        torch.cat([x[..., where[k]] for k in ("robot.pose", "objects.pose")], -1).unflatten(-1, (-1, 7)) for x in (a, b)
    ]
    place = (pose[0][..., :3] - pose[1][..., :3]).norm(dim=-1).max().item()
    # The cosine of a half turn of almost nothing is too coarse in float32.
    one, other = pose[0][..., 3:].double(), pose[1][..., 3:].double()
    chord = torch.minimum((one - other).norm(dim=-1), (one + other).norm(dim=-1))
    return place, (4 * torch.asin((chord / 2).clamp(max=1.0))).max().item()


def restore_anew(env: SageEnv, rows: Tensor) -> None:
    """Restore when something else happened in between.

    Pairs that touch now and touched in the moment restored keep their cached impulses, which were those of another
    branch: 1 of 64 worlds then went elsewhere, by up to 0.25 m. One step with everything apart drops them.
    """
    from sage_envs.snapshot import layout

    apart, where = rows.clone(), layout(env)
    apart[:, where["robot.pose"].start + 2] += 3.0
    for i in range(5):
        apart[:, where["objects.pose"].start + 7 * i + 2] += 4.0 + i
    env.restore(apart)
    env.advance(1)
    env.restore(rows)


def in_flight(env: SageEnv) -> None:
    stage = Stage(env)
    stage.robot((0.0, 0.0, 1.0), velocity=(0.05, 0.02, 0.1))
    for i in range(5):
        stage.object(i, (0.6 * i - 1.2, -1.2, 1.0 + 0.3 * i), (0.05 * i, 0.1, 0.1))
    stage.set("gravity", 0.0)
    stage.begin()


def at_rest(env: SageEnv) -> None:
    Stage(env).begin()
    live(env, torch.zeros(30, WORLDS, 2))


def driving(env: SageEnv) -> None:
    env.reset(seed=1)
    live(env, plan()[:30])


# Largest differences between going on from a moment and going on from its restored snapshot, in m and rad. Measured:
# none; 1.5e-4 and 2.7e-4; 0.25 and 2.1 (median of 8 seeds 0.014), for contacts amplify what their caches held.
CASES = {"in_flight": (in_flight, 1.0), "at_rest": (at_rest, 0.0), "driving": (driving, 1.0)}
BOUNDS = {"in_flight": (1e-6, 1e-6), "at_rest": (1e-3, 1e-3), "driving": (0.4, 3.15)}


@pytest.mark.parametrize("case", CASES)
def test_lived_again(env: SageEnv, case: str, record_property: pytest.RecordProperty) -> None:
    prepare, scale = CASES[case]
    prepare(env)
    actions, rows = plan(scale), env.snapshot()
    original = live(env, actions)
    env.restore(rows)
    first = live(env, actions)
    env.restore(rows)
    again = live(env, actions)
    assert torch.equal(first, again)
    place, turn = gap(env, original, first)
    record_property("difference", f"{place:.2e} m, {turn:.2e} rad")
    print(f"\n{case}: restored against original after {STEPS} steps: {place:.2e} m, {turn:.2e} rad")
    assert place <= BOUNDS[case][0]
    assert turn <= BOUNDS[case][1]


def test_a_snapshot_restored_is_the_moment(env: SageEnv) -> None:
    driving(env)
    rows = env.snapshot()
    live(env, plan()[:20])
    env.restore(rows)
    torch.testing.assert_close(env.snapshot(), rows, rtol=0.0, atol=1e-6)


def test_other_worlds_go_on_undisturbed(env: SageEnv) -> None:
    actions, some = plan(), torch.tensor([0, 2])

    def outcome(disturb: bool) -> Tensor:
        env.restore(rows)
        live(env, actions[:10])
        if disturb:
            env.restore(rows[some], some)
        return live(env, actions[10:40])

    driving(env)
    rows = env.snapshot()
    plain, disturbed = outcome(False), outcome(True)
    assert torch.equal(plain[:, [1, 3]], disturbed[:, [1, 3]])
    assert not torch.equal(plain[:, some], disturbed[:, some])


def test_a_moment_can_go_to_another_world(env: SageEnv) -> None:
    driving(env)
    rows = env.snapshot()
    env.restore(rows[[1]], torch.tensor([3]))
    # Where worlds lie costs digits: each is metres from the origin.
    torch.testing.assert_close(env.snapshot()[3], rows[1], rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("key", ["gravity", "friction_scale"])
def test_other_physics_lead_elsewhere(env: SageEnv, key: str) -> None:
    driving(env)
    rows, actions = env.snapshot(), plan()
    restore_anew(env, rows)
    same = live(env, actions)
    env.restore(rows)
    if key == "gravity":
        env.physics.set_gravity(env.physics.gravity * 0.8)
    else:
        env.physics.set_friction_scale(0.3)
    other = live(env, actions)
    assert gap(env, same, other)[0] > 0.01
    # What was other in between leaves no trace.
    restore_anew(env, rows)
    assert torch.equal(live(env, actions), same)


def test_the_action_in_force_is_part_of_the_moment(env: SageEnv) -> None:
    Stage(env).begin()
    live(env, torch.full((10, WORLDS, 2), 0.5))
    rows = env.snapshot()
    live(env, torch.zeros(10, WORLDS, 2))
    env.restore(rows)
    env.advance(round(0.25 / env.physics_dt))
    moved = env.snapshot()[:, 0] - rows[:, 0]
    torch.testing.assert_close(moved, torch.full((WORLDS,), 0.5 * 10.0 * 0.08 * 0.25), rtol=0.1, atol=0.0)


def test_damaged_snapshots_are_refused(env: SageEnv) -> None:
    env.reset(seed=0)
    rows = env.snapshot()
    with pytest.raises(ValueError, match=r"snapshot.shape=\(4, \d+\): must be \(4, \d+\)"):
        env.restore(rows[:, :-1])
    with pytest.raises(ValueError, match=r"snapshot.shape=\(3, \d+\): must be \(4, \d+\)"):
        env.restore(rows[:3])
    bad = rows.clone()
    bad[1, 2] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        env.restore(bad)
    assert torch.equal(env.snapshot(), rows)
