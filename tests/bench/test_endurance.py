"""What the endurance bench counts, on worlds that break on purpose."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import endurance
from bench.table import Table

WORLDS = 4


class Physics:
    """Keeps what was set."""

    nominal_gravity = torch.tensor([0.0, 0.0, -9.81]).repeat(WORLDS, 1)

    def __init__(self) -> None:
        self.factors: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in endurance.RANGES}

    def set_gravity(self, value: Tensor, worlds: Tensor) -> None:
        self.factors["gravity"].append((value[:, 2] / -9.81, worlds))

    def set_friction_scale(self, value: Tensor, worlds: Tensor) -> None:
        self.factors["friction"].append((value, worlds))

    def set(self, name: str, value: Tensor, worlds: Tensor) -> None:
        self.factors[name.removesuffix("_scale")].append((value, worlds))


class Worlds:
    """Four worlds: an object is outside in steps 3 and 4, a sense is NaN in step 6, and step 8 may raise."""

    num_envs, device, step_dt, action_width = WORLDS, "cpu", 1 / 30, 2
    cfg = SimpleNamespace(bounds=(2.2, 2.2, 10.0))

    def __init__(self, raises: type[BaseException] | None = None) -> None:
        self.physics, self.guard = Physics(), SimpleNamespace(strayed=0, broken=0)
        self._raises, self._step = raises, 0

    def _observation(self) -> dict[str, dict[str, Tensor]]:
        pose, audio = torch.zeros(WORLDS, 5, 7), torch.zeros(WORLDS, 8)
        if self._step in (3, 4):
            pose[1, 2, 1] = -3.0
        if self._step == 6:
            audio[2, 3] = float("nan")
        return {"critic": {"object_pose": pose, "object_velocity": pose + 1.0}, "policy": {"audio": audio}}

    def reset(self, seed: int) -> tuple[Any, dict]:
        return self._observation(), {}

    def step(self, action: Tensor) -> tuple[Any, ...]:
        self._step += 1
        if self._step == 8 and self._raises is not None:
            raise self._raises("broke")
        self.guard.strayed += self._step == 5
        terminated = torch.tensor([self._step == 5] + [False] * 3)
        timed_out = torch.full((WORLDS,), self._step == 10)
        return self._observation(), torch.zeros(WORLDS), terminated, timed_out, {}


def rows(env: Worlds, steps: int = 12, case: str = "wild") -> dict[str, float]:
    table = Table("endurance", {}, [0], machine="a machine")
    endurance.live(table, env, case, SimpleNamespace(seed=0, minutes=steps / 30 / 60))
    return {row.metric: row.value for row in table.rows}


def test_what_must_not_happen_is_counted() -> None:
    found = rows(Worlds())
    assert (found["outside"], found["nan"], found["exceptions"]) == (2, 1, 0)
    assert (found["episodes"], found["terminated"], found["strayed"]) == (5, 1, 1)
    assert found["minutes"] == pytest.approx(12 / 30 / 60)
    assert found["top_speed"] == pytest.approx((1 + 1 + 4) ** 0.5, rel=0.2)


@pytest.mark.parametrize(("error", "count"), [(RuntimeError, 1), (KeyboardInterrupt, 0)])
def test_a_run_that_breaks_off_keeps_its_rows(error: type[BaseException], count: int) -> None:
    found = rows(Worlds(error))
    assert (found["exceptions"], found["outside"], found["nan"]) == (count, 2, 1)


def test_physics_are_drawn_in_range_for_each_new_episode_and_in_mid_episode() -> None:
    env = Worlds()
    rows(env, steps=40)
    for name, (low, high) in endurance.RANGES.items():
        drawn = env.physics.factors[name]
        assert all(bool(((value >= low) & (value <= high)).all()) for value, _ in drawn)
        # All at the first, world 0 after it was terminated, all after their time was up, some in mid-episode.
        assert [worlds.tolist() for _, worlds in drawn[:3]] == [[0, 1, 2, 3], [0], [0, 1, 2, 3]]
        assert len(drawn) <= 4
    calm = Worlds()
    rows(calm, case="nominal")
    assert not any(calm.physics.factors.values())


def test_bad_numbers_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    assert endurance.main(["--minutes", "-1", "--json", str(tmp_path / "rows.json")]) == 2
    assert "error: --minutes=-1.0: must be above 0" in capsys.readouterr().err
