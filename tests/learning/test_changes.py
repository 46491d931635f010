"""What a variation changed is read from the difference of the branches: linearly, and from the group that is meant."""

from __future__ import annotations

import pytest
import torch

from sage_ext.context.layout import CONTEXT_WIDTH, GROUPS
from sage_ext.learning.changes import CHANGES, SENSED, TOUCH, ChangeHeads, check, sensed, unexplained, width

ALL = torch.ones(50, 1, dtype=torch.bool)


def taught(bodies: int = 3) -> ChangeHeads:
    heads = ChangeHeads(bodies)
    for number, head in enumerate(heads.read.values()):
        torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(number))  # type: ignore[arg-type]
    return heads


def test_untaught_heads_read_nothing() -> None:
    for name, value in ChangeHeads(3)(torch.randn(2, 4, CONTEXT_WIDTH)).items():
        assert value.shape == (2, 4, width(name, 3)) and not value.any(), name


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_read_from_its_own_group(name: str) -> None:
    heads, plain = taught(), torch.randn(2, CONTEXT_WIDTH, generator=torch.Generator().manual_seed(9))
    elsewhere, there = plain + 1.0, plain.clone()
    group = GROUPS[CHANGES[name].group].slice
    elsewhere[:, group] = plain[:, group]
    there[:, group] += 1.0
    with torch.no_grad():
        assert torch.equal(heads(elsewhere)[name], heads(plain)[name])
        assert not torch.allclose(heads(there)[name], heads(plain)[name])


def test_readings_add_up_as_differences_do() -> None:
    """From A to B and from B to C is from A to C; back is the negative; nothing is nothing."""
    heads = taught().double()
    a, b, c = torch.randn(3, 4, CONTEXT_WIDTH, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name in CHANGES:
            torch.testing.assert_close(heads(b - a)[name] + heads(c - b)[name], heads(c - a)[name])
            torch.testing.assert_close(heads(a - b)[name], -heads(b - a)[name])
            assert not heads(a - a)[name].any()


def test_each_loose_object_has_numbers_of_its_own() -> None:
    assert (width("object_position", 5), width("log_mass", 5)) == (15, 1)
    assert set(ChangeHeads(0).read) == {name for name, change in CHANGES.items() if not change.each}
    again = ChangeHeads(**taught(4).config())
    again.load_state_dict(taught(4).state_dict())


def test_the_share_that_was_not_read() -> None:
    change = torch.randn(50, 1, generator=torch.Generator().manual_seed(0))
    assert float(unexplained(change, change, ALL, 0.05)) == 0
    assert float(unexplained(torch.zeros_like(change), change, ALL, 1e-6)) == pytest.approx(1.0)
    assert float(unexplained(0.5 * change, change, ALL, 1e-6)) == pytest.approx(0.25)
    # Half of the changes read, the other half not at all.
    half = torch.where(torch.arange(50).view(-1, 1) < 25, change, 0.0)
    lost = change[25:].square().sum() / change.square().sum()
    assert float(unexplained(half, change, ALL, 1e-6)) == pytest.approx(float(lost), rel=1e-4)


def test_without_a_change_small_readings_cost_little_and_none_nothing() -> None:
    none = torch.zeros(50, 1)
    assert float(unexplained(none, none, ALL, 0.05)) == 0
    assert float(unexplained(none + 0.05, none, ALL, 0.05)) == pytest.approx(1.0), "as much as a small change"
    assert float(unexplained(none + 0.005, none, ALL, 0.05)) == pytest.approx(0.01)


def test_what_is_not_asked_has_no_say_and_gets_no_pull() -> None:
    read = torch.ones(50, 1, requires_grad=True)
    change, asked = torch.full((50, 1), float("nan")), torch.zeros(50, 1, dtype=torch.bool)
    change[3], asked[3] = 2.0, True
    wrong = unexplained(read, change, asked, 1e-6)
    wrong.backward()
    assert float(wrong.detach()) == pytest.approx(0.25)
    assert read.grad is not None and read.grad.nonzero().tolist() == [[3, 0]]
    assert float(unexplained(read, change, torch.zeros_like(asked), 0.05).detach()) == 0


def test_what_does_not_fit_is_told() -> None:
    fits = {"log_mass": torch.zeros(2, 3, 1), "object_velocity": torch.zeros(2, 3, 12)}
    assert check(fits, (2, 3), 4) == ""
    assert check(fits, (2, 3), 5) == "", "a scene may have fewer loose objects"
    assert check(fits, (2, 3), 3) == "object_velocity: must be (2, 3, 9), is (2, 3, 12)"
    assert check({"object_velocity": torch.zeros(2, 3, 8)}, (2, 3), 4).endswith("must be (2, 3, 12), is (2, 3, 8)")
    assert check({"log_moon": torch.zeros(2, 3, 1)}, (2, 3), 4).startswith("log_moon: use some of log_gravity, ")


def test_the_skin_tells_what_came_to_be_touched() -> None:
    was, came = torch.zeros(2, 3, 128), torch.zeros(2, 3, 128)
    was[0, 1, 5] = came[0, 1, 7] = 2 * TOUCH
    came[1, 0, :4] = TOUCH / 2
    came[1, 2] = TOUCH / 1000
    was[0, 2, 0] = 9.0
    change, asked = sensed({"tactile": was}, {"tactile": came}, {})
    assert set(change) == set(asked) == set(SENSED)
    assert change["touched"].squeeze(-1).tolist() == [[0, 0, -1], [1, 0, 1 if 128 * TOUCH / 1000 > TOUCH else 0]]
    assert asked["touched"].all()
    there = torch.tensor([[True, True, False], [True] * 3])
    was[0, 2] = torch.nan
    change, asked = sensed({"tactile": was}, {"tactile": came}, {"tactile": there})
    assert torch.equal(asked["touched"].squeeze(-1), there) and change["touched"].isfinite().all()
    assert sensed({"audio": was}, {"audio": came}, {}) == ({}, {})
