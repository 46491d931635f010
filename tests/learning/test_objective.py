"""The objective: no constant can meet it, training does, and what is masked has no say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sage_ext.context import checkpoint
from sage_ext.context.calibration import calibrate
from sage_ext.context.layout import CONTEXT_WIDTH, GROUPS, SENSES
from sage_ext.context.presence import presence
from sage_ext.errors import SageError
from sage_ext.learning import changes
from sage_ext.learning.batch import Batch
from sage_ext.learning.changes import CHANGES, width
from sage_ext.learning.diagnostics import effective_rank
from sage_ext.learning.objective import FORESEEN, INVARIANT, Objective
from sage_ext.learning.sigreg import sigreg

from .conftest import BODIES, make_batch, make_history, make_objective

WEIGHTED = ("prediction", "calibration", "foresight", "regularity", "invariance", "change")
TERMS = {"loss", *WEIGHTED, "skill", "change/log_gravity"}


def _evaluate(objective: Objective, batch: Batch, seed: int = 0) -> dict[str, float]:
    return {k: v.item() for k, v in objective(batch, torch.Generator().manual_seed(seed)).items()}


def _every_change(batch: Batch) -> Batch:
    """The batch with a change of every kind, drawn at random."""
    generator = torch.Generator().manual_seed(2)
    shape = batch.actions.shape[:2]
    change = {name: torch.randn(*shape, width(name, BODIES), generator=generator) for name in CHANGES}
    return replace(batch, change=change, asked={k: torch.ones_like(v, dtype=torch.bool) for k, v in change.items()})


def _make_constant(objective: Objective) -> None:
    """An encoder that has collapsed: whatever is sensed, the same context."""
    with torch.no_grad():
        for module in [*objective.encoder.stems.values(), *objective.encoder.heads.values()]:
            module.get_submodule("last").weight.zero_()  # type: ignore[operator, union-attr]
        for stem in objective.encoder.stems.values():
            stem.get_submodule("last").bias.zero_()  # type: ignore[operator, union-attr]
        objective.encoder.landmarks.nowhere.fill_(60.0)


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
        for name in ("prediction", "invariance", "change"):
            assert abs(found[name] - floor[name]) < 1e-5, name
        assert (found["regularity"] > 1.05 * floor["regularity"]) == (scale > 0)


def test_a_short_training_gets_far_below_what_a_constant_can(objective: Objective) -> None:
    train, held_out = [make_batch(seed=s) for s in range(8)], make_batch(seed=99)
    calibrate(objective.encoder, train[0].remembered)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-4, fused=True)
    generator = torch.Generator().manual_seed(0)
    objective.eval()
    before = _evaluate(objective, held_out)
    for step in range(96):
        optimizer.zero_grad(set_to_none=True)
        objective(train[step % 8], generator)["loss"].backward()
        optimizer.step()
    after, floor = _evaluate(objective, held_out), objective.collapsed(held_out)
    assert after["loss"] < 0.5 * float(floor["loss"])
    assert after["loss"] < before["loss"]
    assert after["change"] < 0.3 * before["change"], "the change of gravity is in plain sight"
    assert after["invariance"] < before["invariance"]
    assert after["skill"] > 0.02, "the prediction must beat 'nothing changes'"
    with torch.no_grad():
        # All that is remembered fell under one gravity, which the body feels.
        context, _ = objective.encoder(held_out.varied)
    assert effective_rank(context) > 20
    assert context.flatten(0, 1).std(0).mean() > 0.45


def test_without_regularity_collapse_would_pay(objective: Objective) -> None:
    """The guard of the guard: it is this term that keeps a constant out."""
    batch = make_batch()
    objective.weights = replace(objective.weights, regularity=0.0, change=0.0)
    assert float(objective.collapsed(batch)["loss"]) == 0.0 < _evaluate(objective, batch)["loss"]


def test_the_loss_is_the_weighted_sum_of_its_terms(objective: Objective) -> None:
    found, w = _evaluate(objective, make_batch()), objective.weights
    assert found["loss"] == pytest.approx(sum(getattr(w, n) * found[n] for n in WEIGHTED), rel=1e-5)


def test_gradients_reach_everything_that_learns() -> None:
    objective = make_objective(drop=0.5)
    for parameter in objective.parameters():  # zero layers would hide what lies behind them
        parameter.data.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    objective(_every_change(make_batch()), torch.Generator().manual_seed(0))["loss"].backward()
    silent = {k for k, p in objective.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)}
    # What needs to be told the way, and depth, learns in tests/context/test_seeker.py.
    told = {f"encoder.seeker.{layer}.{part}" for layer in ("ask", "sum", "doubt") for part in ("weight", "bias")}
    assert silent == told, silent ^ told


def test_calibration_teaches_the_variance_alone(objective: Objective) -> None:
    objective.weights = replace(objective.weights, prediction=0, foresight=0, regularity=0, invariance=0, change=0)
    objective(make_batch())["loss"].backward()
    assert all(p.grad is None or not bool(p.grad.any()) for p in objective.encoder.parameters())
    batch = make_batch(4)
    calibrate(objective.encoder, make_batch().remembered)
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
    single = Batch(alone["remembered"], alone["varied"], batch.actions[:1])
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
    held = torch.cat([torch.arange(CONTEXT_WIDTH)[GROUPS[name].slice] for name in INVARIANT])
    apart = [
        (remembered[b, match[b, t], held] - varied[b, t, held]).square().mean()
        for b in range(2)
        for t in range(5)
        if match[b, t] >= 0
    ]
    assert len(apart) == 4
    batch = replace(make_batch(2, 5), match=match)
    found = objective._invariance(batch, remembered, varied)
    assert float(found) == pytest.approx(float(torch.stack(apart).mean()), rel=1e-5)
    shifted = varied.clone()
    shifted[0, :2, held] = remembered[0, [1, 3]][:, held]
    shifted[1, [[1], [3]], held] = remembered[1, [0, 1]][:, held]
    assert float(objective._invariance(batch, remembered, shifted)) == 0, "other groups and steps have no say"


def test_a_step_without_a_match_gets_no_pull(objective: Objective) -> None:
    """Nor does the remembered step that a clamped -1 would point to."""
    remembered, varied = (torch.randn(2, 4, CONTEXT_WIDTH, requires_grad=True) for _ in range(2))
    match = torch.tensor([[-1, -1, 2, -1], [-1, -1, -1, 3]])
    objective._invariance(replace(make_batch(2), match=match), remembered, varied).backward()
    assert remembered.grad is not None and varied.grad is not None
    pulled = [[0, 2], [1, 3]]
    assert remembered.grad.abs().sum(-1).nonzero().tolist() == varied.grad.abs().sum(-1).nonzero().tolist() == pulled


def test_places_are_not_asked_to_agree(objective: Objective) -> None:
    """Another viewpoint changes where things are: the group that says so may follow."""
    assert "objects" not in INVARIANT
    remembered = torch.randn(2, 4, CONTEXT_WIDTH)
    moved = remembered.clone()
    moved[..., GROUPS["objects"].slice] += 1.0
    assert float(objective._invariance(make_batch(2), remembered, moved)) == 0
    moved[..., GROUPS["intentions"].slice] += 1.0
    assert float(objective._invariance(make_batch(2), remembered, moved)) == pytest.approx(1 / 3)


def _teach_the_heads(objective: Objective) -> None:
    for head in objective.heads.read.values():
        torch.nn.init.normal_(head.weight)  # type: ignore[arg-type]


def test_equal_branches_agree_and_show_no_change(objective: Objective) -> None:
    _teach_the_heads(objective)
    batch = make_batch()
    none = {k: torch.zeros_like(v) for k, v in batch.change.items()}
    found = _evaluate(objective, replace(batch, varied=batch.remembered, change=none))
    assert found["invariance"] < 1e-9 and found["change"] < 1e-9
    assert _evaluate(objective, batch)["invariance"] > 1e-6


def test_swapping_the_branches_negates_the_change(objective: Objective) -> None:
    _teach_the_heads(objective)
    batch = _every_change(make_batch())
    negated = {k: -v for k, v in batch.change.items()}
    swapped = replace(batch, remembered=batch.varied, varied=batch.remembered, change=negated)
    kept = replace(swapped, change=batch.change)
    found, wrong = _evaluate(objective, swapped), _evaluate(objective, kept)
    assert _evaluate(objective, batch)["change"] == pytest.approx(found["change"], rel=2e-5)
    assert wrong["change"] != pytest.approx(found["change"], rel=2e-4)


def test_changes_that_are_not_asked_may_be_nan(objective: Objective) -> None:
    batch = _every_change(make_batch())
    batch.asked["object_position"][..., 3:] = False
    plain = _evaluate(objective, batch)
    wild = {k: v.clone() for k, v in batch.change.items()}
    wild["object_position"][..., 3:] = float("nan")
    assert _evaluate(objective, replace(batch, change=wild)) == plain
    objective(replace(batch, change=wild))["loss"].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in objective.parameters())


def test_of_single_looks_places_alone_are_asked(objective: Objective) -> None:
    _teach_the_heads(objective)
    batch = _every_change(make_batch(time=1))
    found = _evaluate(objective, batch)
    asked = {f"change/{name}" for name, change in CHANGES.items() if change.group == "objects"}
    assert set(found) == {"loss", "regularity", "change", *asked} and len(asked) == 3
    context = objective._encode(batch, None)[0]
    apart = objective.heads(context[16:] - context[:16])
    for name in ("object_position", "object_seen", "object_nearest"):
        told = changes.unexplained(apart[name], batch.change[name], batch.asked[name], CHANGES[name].usual)
        assert found[f"change/{name}"] == pytest.approx(told.item(), rel=1e-4), "as from the whole context"
    lines = objective.draw(batch, torch.Generator().manual_seed(0)).lines
    whole = sigreg(context.flatten(0, 1), lines)[list(GROUPS).index("objects")] / len(GROUPS)
    assert found["regularity"] == pytest.approx(whole.item(), rel=1e-4), "its part in the mean over all groups"
    objective(batch)["loss"].backward()
    taught = {n for n, p in objective.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert any(n.startswith("encoder.landmarks") for n in taught)
    assert all(n.startswith(("encoder.landmarks", "encoder.heads.objects", "heads.read.object_")) for n in taught)


def test_of_single_looks_no_constant_is_below_the_collapsed_loss(objective: Objective) -> None:
    batch = _every_change(make_batch(time=1))
    floor = {k: v.item() for k, v in objective.collapsed(batch).items()}
    _make_constant(objective)
    head = objective.encoder.heads["objects"].get_submodule("last")
    for scale in (0.0, 1.0):
        head.bias.data.normal_().mul_(scale)  # type: ignore[operator, union-attr]
        found = _evaluate(objective, batch)
        assert set(found) == set(floor) and found["change"] == pytest.approx(floor["change"], abs=1e-5)
        assert found["loss"] >= floor["loss"] - 1e-4
        assert (found["regularity"] > 1.05 * floor["regularity"]) == (scale > 0)


def test_a_kind_of_change_that_is_not_given_is_not_charged(objective: Objective) -> None:
    batch = make_batch()
    found = _evaluate(objective, replace(batch, change={}, asked={}))
    assert found["change"] == 0 and "change/log_gravity" not in found
    assert _evaluate(objective, batch)["change"] > 0.2, "an untaught head reads nothing of it"


def test_foresight_moves_what_tells_and_not_what_is_told(objective: Objective) -> None:
    objective.weights = replace(objective.weights, prediction=0, calibration=0, regularity=0, invariance=0, change=0)
    torch.nn.init.normal_(objective.foresight.weight, std=0.1)
    context = torch.randn(4, 5, CONTEXT_WIDTH, generator=torch.Generator().manual_seed(0), requires_grad=True)
    told = objective._foresee(context)
    told.backward()
    assert context.grad is not None
    moved = context.grad.abs().sum(0) > 0
    assert moved[0, GROUPS["predictive"].slice].all() and int(moved.sum()) == GROUPS["predictive"].width
    with torch.no_grad():
        came = torch.cat([context[:, -1, GROUPS[name].slice] for name in FORESEEN], -1)
        read = context[:, 0, GROUPS["predictive"].slice] @ objective.foresight.weight.T
        assert float(told) == pytest.approx(float((read - came).square().mean()), rel=1e-4)


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


def test_both_branches_go_on_from_the_history(objective: Objective) -> None:
    batch = make_batch()
    after = replace(batch, history=make_history())
    assert _evaluate(objective, after)["prediction"] != _evaluate(objective, batch)["prediction"]
    context, _, _ = objective._encode(after, None)
    state = objective.encoder(after.history)[1]
    for branch, half in ((batch.remembered, context[:16]), (batch.varied, context[16:])):
        assert torch.allclose(half, objective.encoder(branch, state)[0], atol=1e-5)


def test_what_forgets_begins_as_if_there_had_been_no_history(objective: Objective) -> None:
    batch, history = make_batch(), make_history()
    forget = torch.arange(16) % 2 == 0
    with torch.no_grad():
        plain, _, _ = objective._encode(batch, None)
        after, _, _ = objective._encode(replace(batch, history=history), None)
        mixed, _, _ = objective._encode(replace(batch, history=history, forget=forget), None)
    gone = torch.cat([forget, forget])
    assert torch.allclose(mixed[gone], plain[gone], atol=1e-5)
    assert torch.allclose(mixed[~gone], after[~gone], atol=1e-5)
    assert not torch.allclose(plain, after, atol=1e-3)


def test_a_sense_that_is_dropped_is_dropped_from_the_history_too() -> None:
    objective, batch = make_objective(drop=0.5), replace(make_batch(), history=make_history())
    objective.train()
    luck = objective.draw(batch, torch.Generator().manual_seed(0)).luck
    assert luck is not None
    kept = objective._drop(presence(batch.remembered), luck)
    blind = ~kept[:, 0, SENSES.index("visual")]
    assert 0 < blind.sum() < 16
    scribbled = dict(batch.history or {})
    scribbled["visual"] = scribbled["visual"].clone()
    scribbled["visual"][blind] = 255 - scribbled["visual"][blind]
    found, other = (objective._encode(b, luck)[0] for b in (batch, replace(batch, history=scribbled)))
    assert torch.equal(found, other)


def test_bad_batches_are_named(objective: Objective) -> None:
    batch = make_batch()
    narrow, unknown = {"object_position": torch.zeros(16, 4, 4)}, {"log_moon": torch.zeros(16, 4, 1)}
    cases = [
        (replace(batch, change=narrow, asked=narrow), r"object_position: does not fit; must be \(16, 4, 6\)"),
        (replace(batch, change=unknown, asked=unknown), "batch.change=log_moon: does not fit; use some of log_gravity"),
        (replace(batch, asked={}), "batch.change=log_gravity: is in one of change and asked only"),
        (replace(batch, actions=batch.actions[:, :3]), r"batch.remembered.visual=\(16, 4\): must be \(16, 3\)"),
        (replace(batch, varied={"visual": batch.varied["visual"]}), "batch=proprioceptive: is in one branch only"),
    ]
    for bad, message in cases:
        with pytest.raises(SageError, match=message):
            objective(bad)


def test_a_checkpoint_keeps_all_its_parts(objective: Objective, tmp_path: Path) -> None:
    _teach_the_heads(objective)
    torch.nn.init.normal_(objective.foresight.weight)
    checkpoint.save(tmp_path, objective.parts())
    parts = checkpoint.load(tmp_path, Objective.builders()).modules
    assert set(parts) == {"encoder", "predictor", "heads", "foresight"}
    for name, part in objective.parts().items():
        assert all(torch.equal(v, parts[name].state_dict()[k]) for k, v in part.state_dict().items())
    kept = {f"{name}.{k}" for name, part in objective.parts().items() for k in part.state_dict()}
    assert kept == set(objective.state_dict()), "nothing that learns is left out"


def test_a_compiler_finds_one_graph_and_products_may_be_of_bfloat16(objective: Objective) -> None:
    batch = replace(_every_change(make_batch()), history=make_history(), forget=torch.arange(16) % 2 == 0)
    objective.train()
    chance = objective.draw(batch, torch.Generator().manual_seed(0))
    seen = torch._dynamo.explain(objective.judge)(batch, chance)
    assert (seen.graph_count, seen.graph_break_count) == (1, 0), [str(reason.reason) for reason in seen.break_reasons]
    plain = objective.judge(batch, chance)
    with torch.autocast("cpu", torch.bfloat16):
        rough = objective.judge(batch, chance)
    assert float(rough["loss"].detach()) == pytest.approx(float(plain["loss"].detach()), rel=0.01)
    assert rough["prediction"] != plain["prediction"]
