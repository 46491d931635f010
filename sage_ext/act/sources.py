"""Where the actions of a run come from: the body's own policies, and what the run has learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from ..environment import Environment, Policy
from ..errors import SageError
from ..observation import ObservationSpec
from ..sage.policy import SagePolicy
from .disturbed import Disturbed

FILE = "checkpoint.json"
"""Of a policy's folder: it is replaced last."""


class Makes(Protocol):
    """The part of :class:`sage_ext.cycle.Body` that is needed here."""

    def policy(self, name: str, env: Environment, seed: int) -> Policy:
        """A source of actions by its name."""


class Sage:
    """A learned policy in an environment.

    Args:
        policy: What was learned.
        env: Where it acts.
        missing: Senses that are kept from it.

    Raises:
        SageError: It was learned with other senses or actions.
    """

    def __init__(self, policy: SagePolicy, env: Environment, missing: tuple[str, ...] = ()) -> None:
        self.policy, self._missing, self._device = policy, missing, env.device
        given = ObservationSpec.from_space(env.single_observation_space["policy"])
        for name, sense in given.senses.items():
            if policy.encoder.spec.senses.get(name) != sense:
                problem = "is another sense than this policy learned with"
                raise SageError(f"observation.{name}", sense.shape, problem, "play the task and resolution of its run")
        width, needs = tuple(env.single_action_space.shape or ()), (policy.core.action_dim,)
        if width != needs:
            raise SageError("action", width, f"is another width than the {needs} of this policy", "play its run's task")
        policy.reset()

    def act(self, observation: dict[str, Any]) -> Tensor:
        """Actions (N, A); of the observation only ``policy`` is read."""
        mine, given = self.policy.low.device, observation["policy"]
        senses = {k: v.to(mine) for k, v in given.items() if k not in self._missing}
        # A copy: what was made in inference mode could not be changed by the environment.
        return self.policy.act(senses).to(self._device, copy=True)

    def reset(self, mask: Tensor) -> None:
        """See :class:`sage_ext.environment.Stateful`."""
        self.policy.reset(mask.to(self.policy.low.device))


def need_policy(folder: Path) -> None:
    """Check that a run has learned one.

    Args:
        folder: Where the run keeps it.

    Raises:
        SageError: It has not.
    """
    if not (folder / FILE).is_file():
        raise SageError("run", folder.parent, "has learned no policy", f"sage-ext act {folder.parent}")


def learned(folder: Path, env: Environment, missing: tuple[str, ...] = (), device: str | None = None) -> Sage:
    """The policy that a run has learned.

    Args:
        folder: Where the run keeps it.
        env: Where it acts.
        missing: Senses that are kept from it.
        device: Where it thinks; where it acts by default.

    Raises:
        SageError: There is none, or it is damaged or does not fit.
    """
    need_policy(folder)
    return Sage(SagePolicy.load(folder, device or str(env.device)), env, missing)


class Sources:
    """Makes sources of actions for a run.

    Args:
        folder: Where the run's policy is, once there is one.
        body: Makes ``random`` and ``expert``.
        env: Where they act.
        disturbance: Of those who know what they want; see :class:`sage_ext.act.disturbed.Disturbed`.
        device: Where what was learned thinks; where it acts by default.
    """

    def __init__(
        self, folder: Path, body: Makes, env: Environment, disturbance: float, device: str | None = None
    ) -> None:
        self._device = device
        self._body, self._env, self._disturbance = body, env, disturbance
        self._folder, self._read = folder, ""
        self._sage: Sage | None = None

    @property
    def learned(self) -> bool:
        """Whether there is a policy."""
        return (self._folder / FILE).is_file()

    def make(self, name: str, seed: int, teacher: str | None = None) -> Policy:
        """A source by its name; ``sage`` is random where nothing was learned yet.

        Args:
            name: ``random``, ``expert`` or ``sage``.
            seed: Seed of what it draws.
            teacher: Who says what it would have done; an expert teaches by itself.

        Raises:
            SageError: The policy is damaged or does not fit.
        """
        if name == "sage" and not self.learned:
            name = "random"
        if name == "random":
            return self._body.policy(name, self._env, seed)
        if name == "sage":
            policy: Policy = self._learned()
        else:
            policy = self._body.policy(name, self._env, seed)
        wise = policy if name == "expert" else self._body.policy(teacher, self._env, seed) if teacher else None
        return Disturbed(policy, self._env, self._disturbance, seed, wise)

    def _learned(self) -> Sage:
        """What was learned so far, read anew where it has changed."""
        now = (self._folder / FILE).read_text(encoding="utf-8")
        if self._sage is None or now != self._read:
            self._sage, self._read = learned(self._folder, self._env, device=self._device), now
        self._sage.policy.reset()
        return self._sage
