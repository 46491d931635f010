"""The objective: no constant can meet it, training does, and what is masked has no say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sage_ext.context import checkpoint
from sage_ext.context.layout import CONTEXT_WIDTH, GROUPS, family
from sage_ext.errors import SageError
from sage_ext.learning.diagnostics import effective_rank
from sage_ext.learning.objective import Batch, Objective

from .conftest import make_batch, make_objective

TERMS = {"loss", "prediction", "calibration", "regularity", "invariance", "physics", "skill"}


def _evaluate(objective: Objective, batch: Batch, seed: int = 0) -> dict[str, float]:
    return {k: v.item() for k, v in objective(batch, torch.Generator().manual_seed(seed)).items()}


def _make_constant(objective: Objective) -> None:
    """An encoder that has collapsed: whatever is sensed, the same context."""
    with torch.no_grad():
        for module in [*objective.encoder.stems.values(), *objective.encoder.heads.values()]:
            module.get_submodule("last").weight.zero_()  # type: ignore[operator, union-attr]
        for stem in objective.encoder.stems.values():
            stem.get_submodule("last").bias.zero_()  # type: ignore[operator, union-attr]


def test_the_collapsed_loss_is_below_every_constant_encoder(objective: Objective) -> None:
    batch = make_batch()
    floor = {k: v.item() for k, v in objective.collapsed(batch).items()}
    _make_constant(objective)
    for scale in (0.0, 1.0):
        for head in objective.encoder.heads.values():
            head.get_submodule("last").bias.data.normal_().mul_(scale)  # type: ignore[operator, union-attr]
        found = _evaluate(objective, batch)
        assert set(floor) == set(found) == TERMS
        assert found["loss"] >= floor["loss"] - 1e-4
        for name in ("prediction", "invariance", "physics"):
            assert abs(found[name] - floor[name]) < 1e-5, name
        assert (found["regularity"] > 1.05 * floor["regularity"]) == (scale > 0)


def test_a_short_training_gets_far_below_what_a_constant_can(objective: Objective) -> None:
    train, held_out = [make_batch(seed=s) for s in range(8)], make_batch(seed=99)
    objective.encoder.calibrate(train[0].remembered)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-4, fused=True)
    generator = torch.Generator().manual_seed(0)
    objective.eval()
    before = _evaluate(objective, held_out)
    for step in range(32):
        optimizer.zero_grad(set_to_none=True)
        objective(train[step % 8], generator)["loss"].backward()
        optimizer.step()
    after, floor = _evaluate(objective, held_out), objective.collapsed(held_out)
    assert after["loss"] < 0.5 * float(floor["loss"])
    assert after["loss"] < before["loss"]
    assert after["physics"] < 0.3 * before["physics"], "the change of gravity is in plain sight"
    assert after["invariance"] < before["invariance"]
    assert after["skill"] > 0.02, "the prediction must beat 'nothing changes'"
    with torch.no_grad():
        context, _ = objective.encoder(held_out.remembered)
    assert effective_rank(context) > 20
    assert context.flatten(0, 1).std(0).mean() > 0.45


def test_without_regularity_collapse_would_pay(objective: Objective) -> None:
    """The guard of the guard: it is this term that keeps a constant out."""
    batch = make_batch()
    objective.weights = replace(objective.weights, regularity=0.0, physics=0.0)
    assert float(objective.collapsed(batch)["loss"]) == 0.0 < _evaluate(objective, batch)["loss"]


def test_the_loss_is_the_weighted_sum_of_its_terms(objective: Objective) -> None:
    found, w = _evaluate(objective, make_batch()), objective.weights
    names = ("prediction", "calibration", "regularity", "invariance", "physics")
    assert found["loss"] == pytest.approx(sum(getattr(w, n) * found[n] for n in names), rel=1e-5)


def test_gradients_reach_everything_that_learns() -> None:
    objective = make_objective(drop=0.5)
    for parameter in objective.parameters():  # zero layers would hide what lies behind them
        parameter.data.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    objective(make_batch(), torch.Generator().manual_seed(0))["loss"].backward()
    silent = [k for k, p in objective.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert silent == [], silent


def test_calibration_teaches_the_variance_alone(objective: Objective) -> None:
    objective.weights = replace(objective.weights, prediction=0, regularity=0, invariance=0, physics=0)
    objective(make_batch())["loss"].backward()
    assert all(p.grad is None or not bool(p.grad.any()) for p in objective.encoder.parameters())
    batch = make_batch(4)
    objective.encoder.calibrate(make_batch().remembered)
    optimizer = torch.optim.Adam(objective.predictor.log_variance.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        objective(batch)["loss"].backward()
        optimizer.step()
    with torch.no_grad():
        context, _ = objective.encoder(batch.remembered)
        prediction = objective.predictor.unroll(context, batch.actions)[1]
        ratio = prediction.error(context[:, 1:]) * torch.exp(-prediction.log_variance)
    read = [i for i, g in enumerate(GROUPS.values()) if g.family != "sensory"]  # this body senses no change
    low, high = ratio.mean((0, 1))[read].aminmax()
    assert low > 0.5 and high < 2.0


def test_what_shows_no_remembered_instant_need_not_agree(objective: Objective) -> None:
    batch = make_batch(4)
    none = torch.full((4, 4), -1)
    assert _evaluate(objective, replace(batch, match=none))["invariance"] == 0
    first = none.clone()
    first[0] = torch.arange(4)
    one = _evaluate(objective, replace(batch, match=first))["invariance"]
    alone = {name: {k: v[:1] for k, v in getattr(batch, name).items()} for name in ("remembered", "varied")}
    single = Batch(alone["remembered"], alone["varied"], batch.actions[:1], batch.change[:1])
    assert one > 0 and one == pytest.approx(_evaluate(objective, single)["invariance"], rel=1e-4)


def test_step_for_step_is_the_default_match(objective: Objective) -> None:
    batch = make_batch(4)
    same = replace(batch, match=torch.arange(4).expand(4, 4))
    assert _evaluate(objective, same)["invariance"] == pytest.approx(
        _evaluate(objective, batch)["invariance"], rel=1e-5
    )


def test_each_varied_step_agrees_with_the_remembered_step_of_its_instant(objective: Objective) -> None:
    """The half and the double of a speed, against the same written out step by step."""
    generator = torch.Generator().manual_seed(0)
    remembered, varied = (torch.randn(2, 5, CONTEXT_WIDTH, generator=generator) for _ in range(2))
    match = torch.tensor([[1, 3, -1, -1, -1], [-1, 0, -1, 1, -1]])
    semantic = slice(family("semantic")[0].start, family("semantic")[-1].slice.stop)
    apart = [
        (remembered[b, match[b, t], semantic] - varied[b, t, semantic]).square().mean()
        for b in range(2)
        for t in range(5)
        if match[b, t] >= 0
    ]
    assert len(apart) == 4
    batch = replace(make_batch(2, 5), match=match)
    found = objective._invariance(batch, remembered, varied)
    assert float(found) == pytest.approx(float(torch.stack(apart).mean()), rel=1e-5)
    shifted = varied.clone()
    shifted[0, :2, semantic] = remembered[0, [1, 3], semantic]
    shifted[1, [1, 3], semantic] = remembered[1, [0, 1], semantic]
    assert float(objective._invariance(batch, remembered, shifted)) == 0, "other groups and steps have no say"


def test_a_step_without_a_match_gets_no_pull(objective: Objective) -> None:
    """Nor does the remembered step that a clamped -1 would point to."""
    remembered, varied = (torch.randn(2, 4, CONTEXT_WIDTH, requires_grad=True) for _ in range(2))
    match = torch.tensor([[-1, -1, 2, -1], [-1, -1, -1, 3]])
    objective._invariance(replace(make_batch(2), match=match), remembered, varied).backward()
    assert remembered.grad is not None and varied.grad is not None
    pulled = [[0, 2], [1, 3]]
    assert remembered.grad.abs().sum(-1).nonzero().tolist() == varied.grad.abs().sum(-1).nonzero().tolist() == pulled


def test_equal_branches_agree_and_show_no_change(objective: Objective) -> None:
    torch.nn.init.normal_(objective.physics.weight)
    batch = make_batch()
    same = replace(batch, varied=batch.remembered, change=torch.zeros_like(batch.change))
    found = _evaluate(objective, same)
    assert found["invariance"] < 1e-9 and found["physics"] < 1e-9
    assert _evaluate(objective, batch)["invariance"] > 1e-6


def test_swapping_the_branches_negates_the_change(objective: Objective) -> None:
    torch.nn.init.normal_(objective.physics.weight)
    batch = make_batch()
    swapped = replace(batch, remembered=batch.varied, varied=batch.remembered, change=-batch.change)
    assert _evaluate(objective, batch)["physics"] == pytest.approx(_evaluate(objective, swapped)["physics"], rel=1e-4)


def test_changes_that_are_not_asked_may_be_nan(objective: Objective) -> None:
    batch = make_batch()
    asked = torch.tensor([True, False]).expand(16, 2)
    wild = batch.change.clone()
    wild[:, 1] = float("nan")
    out = objective(replace(batch, change=wild, asked=asked))
    out["loss"].backward()
    assert bool(out["loss"].isfinite())
    assert all(p.grad is None or p.grad.isfinite().all() for p in objective.parameters())


def test_a_missing_sense_is_neither_regularised_nor_predicted(objective: Objective) -> None:
    batch = make_batch()
    gone = replace(batch, present={"visual": torch.zeros(16, 4, dtype=torch.bool)})
    noise = {k: torch.randint_like(v, 0, 255) if k == "visual" else v for k, v in batch.remembered.items()}
    assert _evaluate(objective, gone) == _evaluate(objective, replace(gone, remembered=noise))
    objective.encoder.missing["visual"].data.fill_(100.0)
    far = objective(gone, torch.Generator().manual_seed(0))
    assert far["regularity"] < 2 * objective.collapsed(gone)["regularity"]


def test_senses_are_dropped_in_training_only() -> None:
    objective, batch = make_objective(drop=0.5), make_batch()
    objective.train()
    assert _evaluate(objective, batch, 1) == _evaluate(objective, batch, 1)
    assert _evaluate(objective, batch, 1)["prediction"] != _evaluate(objective, batch, 2)["prediction"]
    objective.eval()
    assert _evaluate(objective, batch, 1)["prediction"] == _evaluate(objective, batch, 2)["prediction"]


def test_the_state_before_the_slice_is_used(objective: Objective) -> None:
    batch = make_batch()
    state = torch.randn(16, objective.encoder.core.state_width)
    assert _evaluate(objective, batch)["prediction"] != _evaluate(objective, replace(batch, state=state))["prediction"]


def test_bad_batches_are_named(objective: Objective) -> None:
    batch = make_batch()
    cases = [
        (replace(batch, change=torch.zeros(16, 3)), r"batch.change=\(16, 3\): must be \(16, 2\)"),
        (replace(batch, actions=batch.actions[:, :3]), r"batch.remembered.visual=\(16, 4\): must be \(16, 3\)"),
        (replace(batch, varied={"visual": batch.varied["visual"]}), "batch=proprioceptive: is in one branch only"),
        (make_batch(time=1), "needs 2 steps; take longer slices"),
    ]
    for bad, message in cases:
        with pytest.raises(SageError, match=message):
            objective(bad)


def test_a_checkpoint_keeps_all_its_parts(objective: Objective, tmp_path: Path) -> None:
    torch.nn.init.normal_(objective.physics.weight)
    checkpoint.save(tmp_path, objective.parts())
    parts = checkpoint.load(tmp_path, Objective.builders()).modules
    assert set(parts) == {"encoder", "predictor", "physics"}
    for name, part in objective.parts().items():
        assert all(torch.equal(v, parts[name].state_dict()[k]) for k, v in part.state_dict().items())


def test_physical_groups_are_those_of_the_layout(objective: Objective) -> None:
    assert objective.physics.in_features == sum(g.width for g in family("physical"))
