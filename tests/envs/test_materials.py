"""The material table: plausible, complete, and scaled as sound scales."""

from __future__ import annotations

import pytest
import torch

from sage_envs.materials import MATERIALS, MODES, Material, friction_noise

EACH = pytest.mark.parametrize("material", MATERIALS.values(), ids=MATERIALS.keys())


def test_the_materials_the_scenes_need_are_there() -> None:
    assert {"wood", "metal", "rubber", "glass", "concrete", "plastic"} <= MATERIALS.keys()
    assert all(name == material.name for name, material in MATERIALS.items())


@EACH
def test_values_are_physical(material: Material) -> None:
    assert 100.0 < material.density < 10000.0
    assert 0.0 < material.dynamic_friction <= material.static_friction <= 1.5
    assert 0.0 <= material.restitution <= 1.0
    assert all(0.0 <= channel <= 1.0 for channel in material.color)
    assert len(material.frequencies) == len(material.gains) == MODES
    assert list(material.frequencies) == sorted(material.frequencies)
    assert min(material.gains) > 0.0 and material.loss_factor > 0.0


@EACH
def test_twice_the_size_is_an_octave_lower_and_rings_longer(material: Material) -> None:
    small, large = 0.08, 0.16
    assert material.modal_frequencies(small)[0] == pytest.approx(2.0 * material.modal_frequencies(large)[0])
    assert material.modal_damping(small)[0] > material.modal_damping(large)[0]


def test_metal_rings_longest_and_rubber_and_concrete_hardly_at_all() -> None:
    damping = {name: material.modal_damping(0.1)[0] for name, material in MATERIALS.items()}
    assert sorted(damping, key=damping.__getitem__)[:3] == ["metal", "glass", "wood"]
    assert min(damping["rubber"], damping["concrete"]) > 10.0 * damping["metal"]


def test_friction_noise_has_its_colour_level_and_no_seam() -> None:
    def noise(name: str, pitch: float = 1.0) -> torch.Tensor:
        return friction_noise(MATERIALS[name], 0.1, 8192, 15360, torch.Generator().manual_seed(0), pitch)

    def centroid(sound: torch.Tensor) -> float:
        power = torch.fft.rfft(sound).abs().square()
        return float((torch.linspace(0, 7680, len(power)) * power).sum() / power.sum())

    assert noise("wood").square().mean() == pytest.approx(1.0, abs=1e-3)
    assert centroid(noise("rubber")) < centroid(noise("wood")) < centroid(noise("metal"))
    assert centroid(noise("metal", 0.4)) < centroid(noise("metal"))
    rubber = noise("rubber")
    assert (rubber[0] - rubber[-1]).abs() < 4.0 * rubber.diff().square().mean().sqrt()
