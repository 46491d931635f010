"""The context encoder: from what is sensed now, and was sensed before, to 4096 named numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import SageError
from ..observation import ObservationSpec, check_finite
from . import scan, stems
from .core import FELT, PICTURES, Core
from .heads import READ, Head, grouped, numbers_of, padded
from .landmarks import Chart, Landmarks
from .layout import GROUPS, LOOSE, ROOM, SEEN, SENSES, TRAITS, width
from .presence import check_mask, masked, presence
from .seeker import BODY, SKIN, Aim, Seeker
from .side_by_side import side_by_side
from .standard import Standard

_LOUD = (3.0, 3.0, 3.0, 1.0, 1.0, 1.0, 3.0)
"""Brings the numbers of landmarks, as they stand in the context, to deviations of about 1."""
_FAR = 4.0
"""Numbers that are told are cut here: what is metres away to the side would else count more than all that is near."""


@dataclass(frozen=True)
class Widths:
    """Sizes of the encoder; the defaults give 24.2 M parameters (+-2 %) for the default observation.

    Attributes:
        base: First channels of the visual stem.
        hidden: Hidden state of the recurrent core.
        objects: Hidden units of the head of ``objects``.
        semantic: Hidden units of the head of the other semantic groups.
        physical: Hidden units of the physical head.
        immediate: Hidden units of the head of ``immediate``.
        history: Hidden units of the heads of ``historical`` and ``predictive``.
        landmarks: Points that are looked for in a picture.
    """

    base: int = 48
    hidden: int = 1184
    objects: int = 1024
    semantic: int = 1024
    physical: int = 960
    immediate: int = 480
    history: int = 768
    landmarks: int = 32


class Reading(NamedTuple):
    """How places were read from looks.

    Attributes:
        chart: Where the landmarks were seen; None where there is no picture.
        aim: How the way to what is sought was read, ``(B, T, ...)``.
    """

    chart: Chart | None
    aim: Aim


class ContextEncoder(nn.Module):
    """Encodes observations of parallel worlds into contexts.

    Five stems give the sensory groups, landmarks say where in a picture things are, and from them alone the group
    ``objects`` is read; its first numbers are those of the first landmarks as they stand, and what is seen there looks
    like. Landmarks, ``objects``, the groups of the other senses and a scan of how near things are are the percept. A
    recurrent core carries its history. Heads read the other groups: ``semantic`` and ``predictive`` from percept and
    history; ``physical`` from percept, its motion and history; ``immediate`` from percept and motion, ``historical``
    from history alone. Actions are not fed in: proprioception tells the last one. Some groups begin with numbers that
    are told and learned by nothing: ``dynamics`` with the body's own, ``constraints`` with the scan; and the first
    numbers of ``intentions`` have a reader of their own, see :mod:`.seeker`.

    Nothing reads the groups ``visual`` and ``depth``: their hundreds of numbers are enough to learn the rooms of a
    memory by heart, and what was read from them did not hold in others (docs/architecture.md).

    A missing sense is masked, not faked: its group is a learned vector, the core sees that it is missing, and
    whatever stands under a false mask, NaN included, influences neither outputs nor gradients.

    Args:
        spec: The senses. Pictures may have any size; weights are the same for all sizes.
        widths: Sizes of the layers.
        seed: Seed of the initial weights; None takes torch's global generator.

    Raises:
        SageError: A sense has a shape no stem can read.
    """

    loud: Tensor

    def __init__(self, spec: ObservationSpec, widths: Widths | None = None, seed: int | None = None) -> None:
        super().__init__()
        self.spec, self.widths = spec, widths or Widths()
        w = self.widths
        points = w.landmarks * Landmarks.NUMBERS
        seen = points + GROUPS["objects"].width
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            self.stems = nn.ModuleDict(
                {k: stems.build(k, s.shape, GROUPS[k].width, w.base) for k, s in spec.senses.items()}
            )
            # Zero is where calibration puts the average of a sense.
            self.missing = nn.ParameterDict({k: nn.Parameter(torch.zeros(GROUPS[k].width)) for k in SENSES})
            self.landmarks = Landmarks(w.landmarks)
            self.core = Core(w.hidden, seen, width(ROOM))
            percept = self.core.percept
            sizes = {
                "objects": (points, w.objects),
                "semantic": (percept + w.hidden, w.semantic),
                "physical": (2 * percept + w.hidden, w.physical),
                "immediate": (2 * percept, w.immediate),
                "historical": (w.hidden, w.history),
                "predictive": (percept + w.hidden, w.history),
            }
            self.heads = nn.ModuleDict({name: Head(*sizes[name], len(numbers_of(name))) for name in READ})
            self.register_buffer("loud", torch.tensor(_LOUD).repeat(LOOSE), persistent=False)
            body = spec.senses[BODY].shape[0] if BODY in spec.senses else 0
            self.body, self.ranges = Standard(body), Standard(width(ROOM))
            self.seeker = Seeker(w.landmarks, body, w.hidden)

    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs to build this architecture again, as plain JSON types."""
        return {"spec": self.spec.to_json(), "widths": asdict(self.widths)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ContextEncoder:
        """Inverse of :meth:`config`; weights are random."""
        return cls(ObservationSpec.from_json(config["spec"]), Widths(**config["widths"]))

    @property
    def parameter_count(self) -> int:
        """How many numbers are learned."""
        return sum(p.numel() for p in self.parameters())

    def initial_state(self, batch: int) -> Tensor:
        """State before the first frame of an episode, ``(batch, core.state_width)`` zeros."""
        weight = self.core.recur.weight
        return torch.zeros(batch, self.core.state_width, device=weight.device, dtype=weight.dtype)

    def forward(
        self,
        observation: Mapping[str, Tensor],
        state: Tensor | None = None,
        present: Mapping[str, Tensor] | None = None,
        reset: Tensor | None = None,
        validate: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Encode sequences.

        Args:
            observation: Sense -> ``(B, T, *shape)`` in the units of the observation contract; senses may be absent.
            state: State before the first frame, ``(B, core.state_width)``; None starts episodes.
            present: Sense -> ``(B, T)`` bool, false where the sense is missing.
            reset: ``(B, T)`` bool, true on the first frame of a new episode: what was before is forgotten.
            validate: Refuse NaN and infinity in present senses. Off here because training reads memory, which
                was checked when it was written, and the check reads every byte; on in :meth:`step`.

        Returns:
            Contexts ``(B, T, 4096)`` and the state after the last frame.

        Raises:
            SageError: Wrong shapes, dtypes, masks or, if validated, values.
        """
        return self.charted(observation, state, present, reset, validate)[:2]

    def charted(
        self,
        observation: Mapping[str, Tensor],
        state: Tensor | None = None,
        present: Mapping[str, Tensor] | None = None,
        reset: Tensor | None = None,
        validate: bool = False,
    ) -> tuple[Tensor, Tensor, Reading]:
        """As :meth:`forward`, and how places were read, look after look."""
        self.spec.check(observation, batch_dims=2)
        flags = presence(observation, present)
        batch, time = flags.shape[:2]
        if reset is not None:
            check_mask("reset", reset, flags.shape[:2])
        if state is None:
            state = self.initial_state(batch)
        elif state.shape != (batch, self.core.state_width):
            want = (batch, self.core.state_width)
            raise SageError("state.shape", tuple(state.shape), f"must be {want}", "use initial_state(batch)")
        if time == 0:
            raise SageError("observation", "T=0", "has no frame", "give one frame at least")
        inputs = masked(observation, present)
        if validate:
            check_finite(inputs)
        device = flags.device
        senses = [partial(self._sense, k, i, inputs, flags) for i, k in enumerate(SENSES)]
        *groups, (points, traits, chart) = side_by_side(device, *senses, partial(self._look, inputs, flags))
        objects = self._objects(points, traits)
        felt = [group for sense, group in zip(SENSES, groups, strict=True) if sense in FELT]
        body, room = self._body(inputs, flags), self._room(inputs, flags)
        percept = torch.cat([*felt, points, objects, room], -1)
        hidden, motion, state = self.core(percept, flags, state, reset)
        seek = partial(self._seek, body, flags, felt, points, hidden)
        heads = [partial(head, x) for head, x in self._head_inputs(percept, motion, hidden)]
        *read, (way, aim) = side_by_side(device, *heads, seek)
        told = {"intentions": way, "dynamics": body.clamp(-_FAR, _FAR), "constraints": room.clamp(-_FAR, _FAR)}
        return torch.cat([*groups, objects, *grouped(read, told)], -1), state, Reading(chart, aim)

    def points(self, observation: Mapping[str, Tensor], present: Mapping[str, Tensor] | None = None) -> Tensor:
        """What the landmarks say of where things are, ``(B, T, landmarks)``; arguments as of :meth:`forward`."""
        self.spec.check(observation, batch_dims=2)
        return self._look(masked(observation, present), presence(observation, present))[0]

    def locate(self, observation: Mapping[str, Tensor], present: Mapping[str, Tensor] | None = None) -> Tensor:
        """The group ``objects`` alone, ``(B, T, 256)``, as of :meth:`forward` and for a fraction of the work.

        It is read from pictures alone.

        Args:
            observation: As in :meth:`forward`; senses that are no pictures are not looked at.
            present: As in :meth:`forward`.
        """
        self.spec.check(observation, batch_dims=2)
        points, traits, _ = self._look(masked(observation, present), presence(observation, present))
        return self._objects(points, traits)

    def glimpse(
        self, observation: Mapping[str, Tensor], present: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Reading]:
        """Of single looks with nothing before, what is told of places, without what tells nothing of them.

        Args:
            observation: As in :meth:`forward`, ``(B, 1, *shape)``.
            present: As in :meth:`forward`.

        Returns:
            The group ``objects`` ``(B, 1, 256)`` and the way to what is sought ``(B, 1, 3)``, as of :meth:`forward`,
            and how they were read, as of :meth:`charted`.
        """
        self.spec.check(observation, batch_dims=2)
        flags, inputs = presence(observation, present), masked(observation, present)
        points, traits, chart = self._look(inputs, flags)
        objects = self._objects(points, traits)
        felt = [self._sense(k, SENSES.index(k), inputs, flags) for k in FELT]
        percept = torch.cat([*felt, points, objects, self._room(inputs, flags)], -1)
        hidden, _, _ = self.core(percept, flags, self.initial_state(len(flags)), None)
        way, aim = self._seek(self._body(inputs, flags), flags, felt, points, hidden)
        return objects, way, Reading(chart, aim)

    def step(
        self,
        observation: Mapping[str, Tensor],
        state: Tensor | None = None,
        present: Mapping[str, Tensor] | None = None,
        reset: Tensor | None = None,
        validate: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Encode one frame of each world; over time the same as :meth:`forward`.

        Args:
            observation: Sense -> ``(B, *shape)``.
            state: As in :meth:`forward`.
            present: Sense -> ``(B,)`` bool.
            reset: ``(B,)`` bool.
            validate: As in :meth:`forward`, but on: here the values come straight from sensors.

        Returns:
            Contexts ``(B, 4096)`` and the next state.

        Raises:
            SageError: As :meth:`forward`.
        """
        self.spec.check(observation, batch_dims=1)
        context, state = self.forward(
            {k: v.unsqueeze(1) for k, v in observation.items()},
            state,
            None if present is None else {k: v.unsqueeze(-1) for k, v in present.items()},
            None if reset is None else reset.unsqueeze(-1),
            validate,
        )
        return context[:, 0], state

    def _head_inputs(self, percept: Tensor, motion: Tensor, hidden: Tensor) -> list[tuple[nn.Module, Tensor]]:
        """Heads in the order of the layout, with what each sees, but for that of ``objects``."""
        moving = torch.cat([percept, motion], -1)
        known, physical = torch.cat([percept, hidden], -1), torch.cat([moving, hidden], -1)
        _, *heads = self.heads.values()
        return list(zip(heads, [known, physical, moving, hidden, known], strict=True))

    def _objects(self, points: Tensor, traits: Tensor) -> Tensor:
        """The group ``objects``: where the first landmarks are and what is there, and what is read from all of them."""
        places = points[..., : width(SEEN)].detach() * self.loud[: points.shape[-1]]
        told = [padded(part.clamp(-_FAR, _FAR), where) for part, where in ((places, SEEN), (traits, TRAITS))]
        return torch.cat([*told, self.heads["objects"](points)], -1)

    def _body(self, inputs: Mapping[str, Tensor], flags: Tensor) -> Tensor:
        """What the body's sense says, standardised ``(B, T, body)``; zeros where it is missing."""
        if BODY not in inputs:
            return self.body.centre.new_zeros(*flags.shape[:2], len(self.body.centre))
        return torch.where(flags[..., SENSES.index(BODY), None], self.body(inputs[BODY]), 0.0)

    def _room(self, inputs: Mapping[str, Tensor], flags: Tensor) -> Tensor:
        """How near things are, standardised ``(B, T, 64)``; zeros where depth is missing."""
        if "depth" not in inputs:
            return self.ranges.centre.new_zeros(*flags.shape[:2], width(ROOM))
        near = scan.scan(inputs["depth"].flatten(0, 1)).unflatten(0, flags.shape[:2])
        return torch.where(flags[..., SENSES.index("depth"), None], self.ranges(near), 0.0)

    def _sense(self, key: str, index: int, inputs: Mapping[str, Tensor], flags: Tensor) -> Tensor:
        missing: Tensor = self.missing[key]
        if key not in inputs:
            return missing.expand(*flags.shape[:2], -1)
        value: Tensor = self.stems[key](inputs[key].flatten(0, 1)).unflatten(0, flags.shape[:2])
        return torch.where(flags[..., index, None], value, missing)

    def _seek(
        self, body: Tensor, flags: Tensor, felt: Sequence[Tensor], points: Tensor, hidden: Tensor
    ) -> tuple[Tensor, Aim]:
        group, touch = (felt[FELT.index(k)] for k in (BODY, SKIN))
        whole = torch.stack([flags[..., SENSES.index(k)] for k in (BODY, *PICTURES)], -1).all(-1)
        read: tuple[Tensor, Aim] = self.seeker(body, whole, group, touch, points, hidden)
        return read

    def _look(self, inputs: Mapping[str, Tensor], flags: Tensor) -> tuple[Tensor, Tensor, Chart | None]:
        """What the landmarks say ``(B, T, landmarks)``, what things there look like ``(B, T, n)``, how it was seen."""
        visual, depth = (inputs[k].flatten(0, 1) if k in inputs else None for k in PICTURES)
        # Not by a list, which would be copied to a GPU each time.
        there = torch.stack([flags[..., SENSES.index(k)] for k in PICTURES], -1).flatten(0, 1)
        points, chart = self.landmarks(visual, depth, there)
        traits = points.new_zeros(len(points), 0)
        if chart is not None:
            traits = self.landmarks.traits(chart, points, visual, there).flatten(1)
        return points.unflatten(0, flags.shape[:2]), traits.unflatten(0, flags.shape[:2]), chart
