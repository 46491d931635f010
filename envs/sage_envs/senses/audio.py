"""Hearing: what a robot's microphone picks up from contacts and motors.

Everything that can sound is synthesised from what the physics engine says about it, at audio rate:

* *Impacts* ring the modes of the body that was struck, each a damped sinusoid whose amplitude is proportional
  to the impulse (K. van den Doel and D. K. Pai, "The Sounds of Physical Shapes", Presence 7(4), 1998).
* *Scraping* and *rolling* are noise shaped by the body's resonances whose acoustic power is a fixed share of
  the mechanical power (K. van den Doel, P. G. Kry and D. K. Pai, "FoleyAutomatic", SIGGRAPH 2001).
* *Motors* hum at the meshing frequency of their gears and its harmonics.

Sound falls off as 1/r and arrives r/343 s late. What was emitted but has not arrived yet waits in a per-world
buffer, so the whole memory of hearing is a few kilobytes a world that can be saved and put back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..materials import MODES, Material, friction_noise
from .arrival import arrive
from .modes import rings
from .rubbing import rub
from .spectrogram import BANDS, FRAMES, WINDOW, log_mel

SPEED_OF_SOUND = 343.0  # m/s
MIN_DISTANCE = 0.1  # m; nearer than this, sound gets no louder
SAMPLE_RATE = 15360  # Hz: 128 samples per physics step of 1/120 s, 512 per environment step of 1/30 s

_AIR = 415.0 / (4.0 * math.pi)  # rho * c / (4 pi): Pa^2 at 1 m per W of acoustic power
_EFFICIENCY = (1e-5, 1e-6)  # of scraping and rolling: acoustic W per mechanical W, of wood
_ROLL_PITCH = 0.4  # rolling has less of the high frequencies than scraping
_NOISE_BLOCKS = 128  # physics steps until a body's noise repeats: 1.07 s
_DELAY_SLACK = 32  # samples (2 ms, 0.7 m) a steady sound may be late before its delay jumps
_HARMONICS = (1.0, 0.5, 0.3, 0.15)
_MOTOR_PRESSURE = 0.01  # Pa at 10 rad/s without load
_INAUDIBLE = 1e-12  # Pa; below it a mode is at rest. Denormal numbers would slow the matmul.


class Source(NamedTuple):
    """A body that can sound: its name, what it is made of and its size in m."""

    name: str
    material: Material
    size: float


class ContactAudio:
    """The microphones of N worlds with the same B sounding bodies and M motors each.

    What a body emits is synthesised once a world; each of its E microphones hears it from its own distance. The same
    calls give the same bits.

    Args:
        num_worlds: N.
        sources: The B bodies that can sound, in the order of the tensors given to :meth:`hear`.
        physics_dt: Physics step in s; ``sample_rate * physics_dt`` must be whole.
        num_motors: M.
        sample_rate: Hz.
        gear_teeth: Meshings per revolution of a wheel; its motor's fundamental is ``teeth * speed / (2 pi)``.
        max_distance: m; farther bodies are attenuated as they should but arrive no later than from here.
        bands: Mel bands of :meth:`spectrogram`.
        device: Where the tensors live.
        seed: Of the noise tables and of where in them each world starts.
        ears: E, microphones a world.

    Attributes:
        waveform: Pressure in Pa heard in the last look, shape (N * E, samples), world by world; zeros before the first.
        samples_per_step: Samples per physics step.
    """

    def __init__(
        self,
        num_worlds: int,
        sources: Sequence[Source | tuple[str, Material, float]],
        physics_dt: float = 1.0 / 120.0,
        num_motors: int = 2,
        sample_rate: int = SAMPLE_RATE,
        gear_teeth: int = 120,
        max_distance: float = 12.0,
        bands: int = BANDS,
        device: str | torch.device = "cpu",
        seed: int = 0,
        ears: int = 1,
    ) -> None:
        self.samples_per_step = round(sample_rate * physics_dt)
        if abs(sample_rate * physics_dt - self.samples_per_step) > 1e-6 or self.samples_per_step % FRAMES:
            give = f"sample_rate {sample_rate} Hz and physics_dt {physics_dt} s give {sample_rate * physics_dt:g}"
            raise ValueError(f"{give} samples per step; expected a multiple of {FRAMES}")
        self.sources = tuple(Source(*source) for source in sources)
        self.num_worlds, self.num_motors, self.num_ears, self.bands = num_worlds, num_motors, ears, bands
        self.sample_rate, self.gear_teeth = sample_rate, gear_teeth
        self.device = torch.device(device)
        self._max_delay = math.ceil(max_distance / SPEED_OF_SOUND * sample_rate)
        generator = torch.Generator().manual_seed(seed)
        self._build_tables(generator)
        self._build_state(generator)

    def _build_tables(self, generator: torch.Generator) -> None:
        """Per body: the modes' waveforms over one step, and loops of its scraping and rolling noise."""
        bodies = [(source.material, source.size) for source in self.sources]
        step, rate = self.samples_per_step, self.sample_rate

        def table(rows: Sequence[Sequence[float]]) -> Tensor:
            return torch.tensor(rows, dtype=torch.float64).view(len(bodies), -1)

        frequency = table([material.modal_frequencies(size) for material, size in bodies])
        damping = table([material.modal_damping(size) for material, size in bodies])
        gain = table([material.gains for material, _ in bodies])
        gain *= table([[material.loudness] for material, _ in bodies]) / gain.sum(-1, keepdim=True)
        gain *= frequency < 0.48 * rate  # what would alias is not heard
        self._log_pole = torch.complex(-damping, math.tau * frequency) / rate
        self._modal_gain = gain
        self._rings: dict[int, tuple[Tensor, Tensor]] = {}

        def loops(pitch: float) -> Tensor:
            rows = [friction_noise(*body, _NOISE_BLOCKS * step, rate, generator, pitch) for body in bodies]
            return torch.stack(rows).view(len(bodies), -1).to(self.device)

        self._noise = torch.stack((loops(1.0), loops(_ROLL_PITCH)))  # (2, B, blocks * P)
        roughness = torch.tensor([material.roughness for material, _ in bodies], device=self.device)
        share = torch.tensor([[math.sqrt(_AIR * share)] for share in _EFFICIENCY], device=self.device)
        self._noise_gain = (share * roughness)[..., None]

        count = torch.arange(1, step + 1, dtype=torch.float32, device=self.device)
        self._count, self._sweep = count, count * (count + 1) / (2 * step)  # sums of 1 and of a ramp to 1
        self._glide_table = torch.stack((1.0 - count / step, count / step))  # [begin, end] @ this goes linearly
        order = torch.arange(1, len(_HARMONICS) + 1, device=self.device)
        self._harmonic_limit = order * (self.gear_teeth / rate) / math.pi
        self._harmonic_gain = torch.tensor(_HARMONICS, device=self.device)

    def _build_state(self, generator: torch.Generator) -> None:
        """Lay out the state: one flat row a world, of which the named parts are views."""
        worlds, ears, bodies = self.num_worlds, self.num_ears, len(self.sources)
        parts = {
            "modes": (bodies, MODES, 2),  # complex amplitudes at the start of the next step, Pa m
            "rubbing": (2, bodies),  # noise amplitudes of scraping and rolling at the end of the last step, Pa m
            "weight": (ears, bodies),  # attenuation at the end of the last step, 1/m; -1 if there was none
            "delay": (ears, bodies),  # samples
            "motor": (self.num_motors, 3),  # phase in rad, speed in rad/s, amplitude in Pa at the end of the last step
            "noise": (1,),  # next block of the noise loops
            "pending": (ears, self._max_delay),  # emitted and still on its way, Pa
            "history": (ears, WINDOW),  # last heard, Pa
        }
        widths = [math.prod(shape) for shape in parts.values()]
        self._rows = torch.zeros(worlds, sum(widths), device=self.device)
        pieces = zip(parts.items(), torch.split(self._rows, widths, dim=1), strict=True)
        self._part = {name: piece.view(worlds, *shape) for (name, shape), piece in pieces}
        self._part["weight"].fill_(-1.0)
        self._part["delay"].fill_(-2.0 * _DELAY_SLACK)  # so far off that the first step corrects it
        self._part["noise"].copy_(torch.randint(_NOISE_BLOCKS, (worlds, 1), generator=generator))
        self._fresh = self._rows.clone()
        self._past = torch.zeros(worlds, ears, WINDOW, device=self.device)
        self.waveform = torch.zeros(worlds * ears, 4 * self.samples_per_step, device=self.device)

    @torch.no_grad()
    def hear(
        self,
        impulse: Tensor,
        slip_power: Tensor,
        roll_power: Tensor,
        distance: Tensor,
        motor_speed: Tensor,
        motor_torque: Tensor,
        gain: Tensor | None = None,
    ) -> Tensor:
        """Let S physics steps sound.

        Args:
            impulse: Impulse that each contact's onset gave each body in each step, N s, shape (N, B, S).
                A strike sounds from the start of its step; a contact that lasts is none.
            slip_power: Friction force times slip speed at the end of each step, W, shape (N, B, S).
            roll_power: Normal force times rolling speed at the end of each step, W, shape (N, B, S).
            distance: From each microphone, m, shape (N * E, B, S) or (N * E, B).
            motor_speed: Of the wheels, rad/s, shape (N, M, S).
            motor_torque: At the wheels, N m, shape (N, M, S).
            gain: Share of the pressure that gets past what stands between, shape (N * E, B); 1 if not given.

        Returns:
            The new :attr:`waveform`, Pa, shape (N * E, S * samples_per_step).
        """
        self._check(impulse, slip_power, roll_power, distance, motor_speed, motor_torque, gain)
        part, worlds, steps = self._part, self.num_worlds, impulse.shape[2]
        length = steps * self.samples_per_step
        emitted, loud = self._emit(impulse, slip_power, roll_power)
        if distance.dim() == 2:
            distance = distance[..., None].expand(-1, -1, steps)
        if gain is None:
            gain = torch.ones_like(distance[..., 0])
        arriving = torch.nn.functional.pad(part["pending"].flatten(0, 1), (0, length))
        how = (MIN_DISTANCE, self.sample_rate / SPEED_OF_SOUND, float(self._max_delay), float(_DELAY_SLACK))
        arrive(emitted, loud, impulse, distance, gain, part["weight"], part["delay"], arriving, *how)
        heard = arriving.view(worlds, self.num_ears, -1)
        waveform = heard[..., :length] + self._motors(motor_speed, motor_torque).unsqueeze(1)
        self.waveform = waveform.flatten(0, 1)
        self._past = part["history"].clone()
        part["history"].copy_(torch.cat((self._past, waveform), dim=2)[..., -WINDOW:])
        part["noise"].copy_((part["noise"] + steps) % _NOISE_BLOCKS)
        part["pending"].copy_(heard[..., length:])
        return self.waveform

    def _emit(self, impulse: Tensor, slip_power: Tensor, roll_power: Tensor) -> tuple[Tensor, Tensor]:
        """What rings and rubs, Pa m at the bodies (B, N, S * P), and which do (N, B) bool; modes and levels carry over.

        Each input is (N, B, S).
        """
        steps = impulse.shape[2]
        if steps not in self._rings:
            made = rings(self._log_pole, self._modal_gain, steps, self.samples_per_step)
            self._rings[steps] = made[0].to(self.device), made[1].to(self.device)
        sound, ends = self._rings[steps]
        begin = torch.cat((self._part["modes"].flatten(2), impulse), dim=2)
        rows = begin.transpose(0, 1)
        modes = torch.bmm(rows, ends).transpose(0, 1).view_as(self._part["modes"])
        self._part["modes"].copy_(modes.masked_fill(modes.abs() < _INAUDIBLE, 0.0))
        emitted = torch.bmm(rows, sound)
        level = torch.stack((slip_power, roll_power), dim=1).clamp_(min=0.0).sqrt_() * self._noise_gain
        levels = torch.cat((self._part["rubbing"][..., None], level), dim=-1)
        self._part["rubbing"].copy_(level[..., -1])
        rub(levels, self._noise, self._part["noise"], emitted)
        return emitted, begin.any(dim=2) | levels.any(dim=3).any(dim=1)

    def spectrogram(self) -> Tensor:
        """Levels of the last look in dB, (N * E, bands * 16), band-major: see :func:`~.spectrogram.log_mel`."""
        return log_mel(self.waveform, self.sample_rate, self._past.flatten(0, 1), self.bands).flatten(1)

    def state(self) -> Tensor:
        """All that the future depends on, shape (N, D), float32."""
        return self._rows.clone()

    def set_state(self, state: Tensor, world_ids: Tensor | None = None) -> None:
        """Put worlds back into a state; what they hear from then on is what was heard after it was taken.

        Of the look before, which is no part of the state, only the last :data:`WINDOW` samples come back.

        Args:
            state: Rows of :meth:`state`, shape (worlds, D).
            world_ids: The worlds they go to, shape (worlds,); all if not given.
        """
        ids = self._ids(world_ids)
        if state.shape != (len(ids), self._rows.shape[1]):
            raise ValueError(f"state has shape {tuple(state.shape)}; expected {(len(ids), self._rows.shape[1])}")
        self._rows[ids] = state.to(self._rows)
        self._past[ids] = 0.0
        waveform = self.waveform.view(self.num_worlds, self.num_ears, -1).index_fill(0, ids, 0.0)
        tail = min(WINDOW, waveform.shape[2])
        waveform[ids, :, -tail:] = self._part["history"][ids, :, -tail:]
        self.waveform = waveform.flatten(0, 1)

    def reset(self, world_ids: Tensor | None = None) -> None:
        """Silence worlds (all if not given) and start them as when they were built."""
        ids = self._ids(world_ids)
        self.set_state(self._fresh[ids], ids)

    def _ids(self, world_ids: Tensor | None) -> Tensor:
        everyone = torch.arange(self.num_worlds, device=self.device)
        return everyone if world_ids is None else everyone[world_ids]

    def _motors(self, speed: Tensor, torque: Tensor) -> Tensor:
        """Gear mesh and harmonics, Pa at the microphones, (N, M, S) -> (N, samples). Phases carry over."""
        phase, last_speed, last_amplitude = self._part["motor"].clone().unbind(-1)
        amplitude = _MOTOR_PRESSURE * speed.abs() / 10.0 * (1.0 + torque.abs())
        speeds = torch.cat((last_speed[..., None], speed), dim=-1)
        amplitudes = torch.cat((last_amplitude[..., None], amplitude), dim=-1)
        # Speed changes linearly within a step, so its sums, the phases, are known in closed form.
        mesh = self.gear_teeth / self.sample_rate  # rad of the hum per sample and rad/s of the wheel
        change = speeds.diff(dim=-1)[..., None]
        advance = mesh * (speeds[..., :-1, None] * self._count + change * self._sweep)  # (N, M, S, P)
        base = phase[..., None] + torch.cat((torch.zeros_like(phase)[..., None], advance[..., -1].cumsum(-1)), dim=-1)
        angle = (base[..., :-1, None] + advance).flatten(2)
        self._part["motor"].copy_(torch.stack((base[..., -1] % math.tau, speed[..., -1], amplitude[..., -1]), dim=-1))
        margin = 1.0 - speeds.abs()[..., None] * self._harmonic_limit  # below half the sample rate
        one, two, three, four = (amplitudes[..., None] * self._harmonic_gain * (10.0 * margin).clamp_(0.0, 1.0)).unbind(
            -1
        )
        # The sum of the levels times sin(k a) is sin(a) times a polynomial in cos(a): sines are what costs here.
        factors = torch.stack((8.0 * four, 4.0 * three, 2.0 * two - 4.0 * four, one - three))
        ends = torch.stack((factors[..., :-1], factors[..., 1:]), dim=-1)  # (4, N, M, S, 2)
        cubic, square, linear, constant = (ends @ self._glide_table).flatten(3)
        cos = angle.cos()
        cubic.mul_(cos).add_(square).mul_(cos).add_(linear).mul_(cos).add_(constant)
        return cubic.mul_(angle.sin_()).sum(dim=1)

    def _check(self, *inputs: Tensor | None) -> None:
        names = ("impulse", "slip_power", "roll_power", "distance", "motor_speed", "motor_torque", "gain")
        steps = inputs[0].shape[-1] if inputs[0] is not None else 0
        bodies, motors = (self.num_worlds, len(self.sources), steps), (self.num_worlds, self.num_motors, steps)
        ways = (self.num_worlds * self.num_ears, len(self.sources), steps)
        expected = ((bodies,),) * 3 + ((ways, ways[:2]),) + ((motors,),) * 2 + ((ways[:2],),)
        for name, tensor, shapes in zip(names, inputs, expected, strict=True):
            if tensor is not None and tuple(tensor.shape) not in shapes:
                raise ValueError(f"{name} has shape {tuple(tensor.shape)}; expected {' or '.join(map(str, shapes))}")
