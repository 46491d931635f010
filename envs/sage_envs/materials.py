"""What things are made of: one table that the physics, the renderer and the ears read.

Mechanical values are handbook figures for dry surfaces. Modal values follow the usual model of struck
solids: a sum of damped sinusoids whose frequencies come from the shape and whose damping comes mostly from
the material (K. van den Doel and D. K. Pai, "The Sounds of Physical Shapes", Presence 7(4), 1998). With a loss
factor ``eta`` that does not depend on frequency (R. P. Wildes and W. A. Richards, "Recovering Material
Properties from Sound", 1988; R. L. Klatzky, D. K. Pai and E. P. Krotkov, "Perception of Material from Contact
Sounds", Presence 9(4), 2000) the amplitude of a mode at ``f`` Hz dies as ``exp(-pi * eta * f * t)``; support
and radiation add a rate that is the same for all modes, the mass-proportional term of Rayleigh damping.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

REFERENCE_SIZE = 0.1
"""Size in m of the object whose frequencies the table lists."""

MODES = 6
"""Modes per material."""

_ACOUSTIC_SIZE = (0.03, 0.3)


@dataclass(frozen=True)
class Material:
    """A material: how it weighs, slides, bounces, looks and sounds.

    Attributes:
        name: Key in :data:`MATERIALS`.
        density: kg/m^3.
        static_friction: Coulomb coefficient at rest.
        dynamic_friction: Coulomb coefficient when sliding, at most the static one.
        restitution: Share of the approach speed that is left after a bounce, 0..1.
        color: RGB, each 0..1.
        frequencies: Modal frequencies in Hz of an object of :data:`REFERENCE_SIZE`.
        gains: Relative amplitudes of the modes when struck.
        loss_factor: Internal friction ``eta`` = 1/Q of a mode; dimensionless.
        base_damping: Decay rate in 1/s that all modes share: support and radiation.
        loudness: Peak pressure at 1 m per impulse, were all modes in phase: Pa m/(N s).
        roughness: Pressure of scraping and rolling relative to wood.
        noise_center: Hz; where the spectrum of scraping is strongest before resonances shape it.
    """

    name: str
    density: float
    static_friction: float
    dynamic_friction: float
    restitution: float
    color: tuple[float, float, float]
    frequencies: tuple[float, ...]
    gains: tuple[float, ...]
    loss_factor: float
    base_damping: float
    loudness: float
    roughness: float
    noise_center: float

    def modal_frequencies(self, size: float) -> tuple[float, ...]:
        """Frequencies in Hz of an object of ``size`` m.

        Similar shapes ring at frequencies in inverse ratio to their size. Only sizes of 0.03 to 0.3 m are
        scaled: a room's wall does not sound as one long wave but locally, like a slab of its thickness.
        """
        low, high = _ACOUSTIC_SIZE
        scale = REFERENCE_SIZE / min(max(size, low), high)
        return tuple(scale * f for f in self.frequencies)

    def modal_damping(self, size: float) -> tuple[float, ...]:
        """Decay rates in 1/s of the amplitudes of the modes of an object of ``size`` m."""
        return tuple(self.base_damping + math.pi * self.loss_factor * f for f in self.modal_frequencies(size))


# Metal (aluminium) has the frequency ratios of a free square plate (A. W. Leissa, "Vibration of Plates", NASA SP-160,
# 1969), glass those of a bowl, wood, plastic and rubber bar-like ones filled in with torsion; all rounded.
_TABLE = (
    Material(
        name="wood",
        density=600.0,
        static_friction=0.5,
        dynamic_friction=0.4,
        restitution=0.4,
        color=(0.62, 0.43, 0.24),
        frequencies=(420.0, 780.0, 1157.0, 1690.0, 2270.0, 3100.0),
        gains=(1.0, 0.7, 0.6, 0.4, 0.3, 0.2),
        loss_factor=0.02,
        base_damping=40.0,
        loudness=0.6,
        roughness=1.0,
        noise_center=1200.0,
    ),
    Material(
        name="metal",
        density=2700.0,
        static_friction=0.4,
        dynamic_friction=0.3,
        restitution=0.6,
        color=(0.72, 0.74, 0.78),
        frequencies=(860.0, 1262.0, 1557.0, 2232.0, 2830.0, 3922.0),
        gains=(1.0, 0.8, 0.8, 0.7, 0.5, 0.4),
        loss_factor=0.001,
        base_damping=3.0,
        loudness=1.0,
        roughness=1.3,
        noise_center=3500.0,
    ),
    Material(
        name="rubber",
        density=1100.0,
        static_friction=1.0,
        dynamic_friction=0.9,
        restitution=0.8,
        color=(0.12, 0.12, 0.13),
        frequencies=(170.0, 260.0, 370.0, 490.0, 640.0, 820.0),
        gains=(1.0, 0.6, 0.4, 0.25, 0.15, 0.1),
        loss_factor=0.15,
        base_damping=80.0,
        loudness=0.4,
        roughness=0.6,
        noise_center=400.0,
    ),
    Material(
        name="glass",
        density=2500.0,
        static_friction=0.3,
        dynamic_friction=0.2,
        restitution=0.65,
        color=(0.45, 0.75, 0.72),
        frequencies=(1480.0, 2330.0, 3130.0, 4270.0, 5320.0, 6580.0),
        gains=(0.6, 1.0, 0.9, 0.8, 0.6, 0.5),
        loss_factor=0.005,
        base_damping=30.0,
        loudness=1.0,
        roughness=0.7,
        noise_center=4800.0,
    ),
    Material(
        name="concrete",
        density=2400.0,
        static_friction=0.8,
        dynamic_friction=0.7,
        restitution=0.3,
        color=(0.55, 0.55, 0.53),
        frequencies=(310.0, 520.0, 830.0, 1240.0, 1750.0, 2400.0),
        gains=(1.0, 0.8, 0.6, 0.5, 0.4, 0.3),
        loss_factor=0.05,
        base_damping=150.0,
        loudness=0.3,
        roughness=1.5,
        noise_center=1800.0,
    ),
    Material(
        name="plastic",
        density=1050.0,
        static_friction=0.4,
        dynamic_friction=0.3,
        restitution=0.5,
        color=(0.85, 0.35, 0.15),
        frequencies=(350.0, 610.0, 930.0, 1310.0, 1750.0, 2400.0),
        gains=(1.0, 0.9, 0.6, 0.4, 0.3, 0.2),
        loss_factor=0.05,
        base_damping=60.0,
        loudness=0.5,
        roughness=0.8,
        noise_center=1500.0,
    ),
)

MATERIALS: dict[str, Material] = {material.name: material for material in _TABLE}
"""All materials by name."""


def friction_noise(
    material: Material,
    size: float,
    samples: int,
    sample_rate: int,
    generator: torch.Generator,
    pitch: float = 1.0,
) -> Tensor:
    """Noise that a body of this material makes when scraped, of RMS 1, which repeats without a seam.

    White noise under a hump of an octave (standard deviation) around ``pitch * noise_center``, which stands for
    the grain of the surfaces, shaped by the body's modes, whose peaks lasting contact broadens (K. van den Doel,
    P. G. Kry and D. K. Pai, "FoleyAutomatic", SIGGRAPH 2001). Speed changes its power only, not its spectrum.

    Args:
        material: Of the body.
        size: Of the body, m.
        samples: Length of the loop, even.
        sample_rate: Hz.
        generator: On the CPU.
        pitch: Factor on the noise centre.

    Returns:
        Shape (samples,).
    """
    frequency = torch.linspace(0.0, sample_rate / 2.0, samples // 2 + 1, dtype=torch.float64)
    grain = torch.exp(-0.5 * torch.log2(frequency.clamp(min=1e-3) / (pitch * material.noise_center)).square())
    resonance = torch.zeros_like(frequency)
    modes = zip(material.modal_frequencies(size), material.modal_damping(size), material.gains, strict=True)
    for mode, damping, gain in modes:
        width = damping / (2.0 * math.pi) + 0.03 * mode
        resonance += gain**2 / (1.0 + ((frequency - mode) / width).square())
    white = torch.fft.rfft(torch.randn(samples, dtype=torch.float64, generator=generator))
    noise: Tensor = torch.fft.irfft(white * (grain * (0.1 + resonance)).sqrt(), samples)
    noise /= noise.square().mean().sqrt()
    return noise.float()
