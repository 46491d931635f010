"""Checkpoints: bit-exact, atomic, and clear about what is wrong with them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from sage_ext.context import checkpoint
from sage_ext.context.encoder import ContextEncoder
from sage_ext.errors import SageError

from .conftest import make_observation, make_spec


def _train(encoder: ContextEncoder, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        encoder(make_observation(1, 2))[0].square().mean().backward()
        optimizer.step()


def _tensor_file(folder: Path) -> Path:
    (file,) = folder.glob("*.safetensors")
    return file


def test_round_trip_is_bit_exact(small: ContextEncoder, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a", small, {"step": 7, "note": "x"})
    back = checkpoint.load(tmp_path / "a")
    (name,) = back.modules
    assert name == "encoder" and back.extra == {"step": 7, "note": "x"} and back.optimizer is None
    twin = back.modules["encoder"]
    assert isinstance(twin, ContextEncoder) and twin.config() == small.config()
    observation = make_observation(2, 2)
    assert torch.equal(twin(observation)[0], small(observation)[0])


@pytest.mark.parametrize("fused", [True, False])
def test_training_resumes_exactly(small: ContextEncoder, tmp_path: Path, fused: bool) -> None:
    optimizer = torch.optim.AdamW(small.parameters(), lr=1e-3, fused=fused)
    _train(small, optimizer, 2)
    checkpoint.save(tmp_path, small, optimizer=optimizer)
    back = checkpoint.load(tmp_path)
    twin = back.modules["encoder"]
    assert isinstance(twin, ContextEncoder) and back.optimizer is not None
    resumed = torch.optim.AdamW(twin.parameters(), lr=9.0, fused=fused)
    checkpoint.restore_optimizer(resumed, back.optimizer)
    assert resumed.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]
    _train(small, optimizer, 2)
    _train(twin, resumed, 2)
    assert all(torch.equal(v, twin.state_dict()[k]) for k, v in small.state_dict().items())


def test_low_level_keeps_every_dtype_shape_and_sharing(tmp_path: Path) -> None:
    base = torch.arange(12.0).view(3, 4)
    tensors = {
        "strided": base.T,
        "shared": base,
        "scalar": torch.tensor(3),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "half": torch.randn(3).bfloat16(),
        "odd": torch.tensor([float("nan"), float("inf"), -0.0]),
    }
    checkpoint.save_state(tmp_path / "x", tensors, {"a": [1, None]})
    back, meta = checkpoint.load_state(tmp_path / "x")
    assert meta == {"a": [1, None]} and set(back) == set(tensors)
    for key, value in tensors.items():
        assert back[key].dtype == value.dtype and back[key].shape == value.shape
        as_bytes = [t.contiguous().reshape(-1).view(torch.uint8) for t in (back[key], value)]
        assert torch.equal(*as_bytes), key


def test_saving_again_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    for value in range(3):
        checkpoint.save_state(tmp_path / "x", {"t": torch.tensor(value)}, {"n": value})
    assert len(list(tmp_path.iterdir())) == 2
    tensors, meta = checkpoint.load_state(tmp_path / "x")
    assert int(tensors["t"]) == meta["n"] == 2


@pytest.mark.parametrize("killed_at", [0, 1])
def test_a_save_that_dies_half_way_leaves_the_previous_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    checkpoint.save_state(tmp_path / "x", {"t": torch.tensor(1)}, {})
    calls, replace = [], os.replace

    def die(source: str, target: str) -> None:
        calls.append(target)
        if len(calls) > killed_at:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save_state(tmp_path / "x", {"t": torch.tensor(2)}, {})
    monkeypatch.undo()
    assert int(checkpoint.load_state(tmp_path / "x")[0]["t"]) == 1
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_is_named_and_leaves_the_previous_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save_state(tmp_path / "x", {"t": torch.tensor(1)}, {})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(SageError, match=r"x.json=write: failed \(.*No space left.*free disk space"):
        checkpoint.save_state(tmp_path / "x", {"t": torch.tensor(2)}, {})
    assert int(checkpoint.load_state(tmp_path / "x")[0]["t"]) == 1
    assert not list(tmp_path.glob(".*"))


def test_damage_is_named(small: ContextEncoder, tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, small)
    data, text = _tensor_file(tmp_path), path.read_text()
    good = data.read_bytes()

    data.write_bytes(good[:-9])
    with pytest.raises(SageError, match=rf"checkpoint=.*{data.name}: is truncated: {len(good) - 9} of {len(good)}"):
        checkpoint.load(tmp_path)
    flipped = bytearray(good)
    flipped[-5] ^= 1
    data.write_bytes(bytes(flipped))
    with pytest.raises(SageError, match=rf"{data.name}: is corrupt: its sha256"):
        checkpoint.load(tmp_path)
    data.unlink()
    with pytest.raises(SageError, match=rf"{data.name}: does not exist"):
        checkpoint.load(tmp_path)
    data.write_bytes(good)

    path.write_text(text[: len(text) // 2])
    with pytest.raises(SageError, match="checkpoint.json: is corrupt: no JSON"):
        checkpoint.load(tmp_path)
    for version, mend in ((99, "update"), (1, "train it again"), ("one", "train it again")):
        path.write_text(json.dumps(json.loads(text) | {"format": version}))
        with pytest.raises(SageError, match=f"has format {version}, this reads {checkpoint.FORMAT}; {mend}"):
            checkpoint.load(tmp_path)
    document = json.loads(text)
    document["meta"]["layout"]["objects"][1] = 128
    path.write_text(json.dumps(document))
    with pytest.raises(SageError, match="is another layout"):
        checkpoint.load(tmp_path)
    document = json.loads(text)
    document["meta"]["modules"]["encoder"]["widths"]["hidden"] = 64
    path.write_text(json.dumps(document))
    with pytest.raises(SageError, match=r"checkpoint.json=encoder: does not fit \(.*size mismatch"):
        checkpoint.load(tmp_path)
    path.unlink()
    with pytest.raises(SageError, match="checkpoint.json: does not exist"):
        checkpoint.load(tmp_path)


def test_a_module_that_is_not_in_it_is_named(small: ContextEncoder, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, small)
    with pytest.raises(SageError, match="core: is not in it, only encoder|=core: is not in it, only encoder"):
        checkpoint.load(tmp_path, {"core": lambda config: nn.Identity()})


def test_an_override_loads_for_larger_pictures(small: ContextEncoder, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, small)
    back = checkpoint.load(tmp_path, overrides={"encoder": {"spec": make_spec(128).to_json()}})
    context, _ = back.modules["encoder"].step(make_observation(1, size=128))  # type: ignore[operator]
    assert context.shape == (1, 4096)


def test_an_optimizer_over_other_parameters_is_refused(small: ContextEncoder) -> None:
    optimizer = torch.optim.AdamW(small.parameters())
    _train(small, optimizer, 1)
    saved = checkpoint.flatten_optimizer(optimizer)
    with pytest.raises(SageError, match="optimizer=SGD: cannot take the state of AdamW"):
        checkpoint.restore_optimizer(torch.optim.SGD(small.parameters(), lr=1.0), saved)
    with pytest.raises(SageError, match="optimizer=parameter"):
        checkpoint.restore_optimizer(torch.optim.AdamW(list(small.parameters())[::-1]), saved)
