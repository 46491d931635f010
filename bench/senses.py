"""Are the senses true, and do they tell? ``python -m bench.senses``.

Scenes are staged by editing snapshots. Readouts are linear and closed-form; they are fitted on some scenes and judged
on others, with other places, heights and headings.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .table import OURS, RESULTS, Table, arguments, run_bench, say

if TYPE_CHECKING:
    from torch import Tensor

DESCRIPTION = """\
Measures what each sense tells about what is true in the simulation.

cases and metrics:
  audio: material   balanced_accuracy            of wood, rubber, metal and glass: linear readout of the levels after
                                                 something fell on the floor; target 0.9
  audio: moment     median_ms, p90_ms            from the true impact to where a linear readout of the levels puts it;
                                                 target 50
  touch: side       median_deg, p95_deg          from the true direction of the contact to the taxels' centre of force;
                                                 target one taxel's pitch, 22.5
  touch: sum        worst_relative               taxels against the contact forces' magnitudes; target 0.01
  depth             median_relative, p99_relative   pixels on floor and walls against ray geometry; target 0.01
  imu               worst_m_s2                   at rest, specific force against the gravity in force
"""
EPILOG = """\
examples:
  python -m bench.senses
  python -m bench.senses --seed 3 --rounds 40 --json senses.json
"""
LOOKS = 18
"""Looks at a fall."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("senses", DESCRIPTION, EPILOG)
    parser.add_argument("--rounds", type=int, default=30, metavar="N", help="scenes of each kind a world (default 30)")
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """All cases, in one simulator."""
    import torch

    from sage_ext.report import quiet

    os.environ.setdefault("OMNI_KIT_ACCEPT_EULA", "YES")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.environ.setdefault("OMNI_KIT_ALLOW_ROOT", "1")
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    worlds = 16 if options.preset == "cpu" else 256
    table = Table("senses", {"preset": options.preset, "worlds": worlds, "rounds": options.rounds}, [options.seed])
    with tempfile.TemporaryDirectory(dir=RESULTS) as folder, quiet(Path(folder) / "simulator.log"):
        from sage_tasks.make import make

        device = "cpu" if options.preset == "cpu" else "cuda:0"
        env = make("Sage-Navigation", num_envs=worlds, seed=options.seed, device=device, segmentation=True)
        try:
            stage = Stage(env, options.seed)
            for case in (audio, touch, depth, imu):
                say(f"senses: {case.__name__}")
                case(table, stage, options.rounds)
        finally:
            env.close()
    return table


class Stage:
    """Snapshots that are edited by name.

    Attributes:
        calm: The rover at the origin, all objects at rest along a wall, nothing sounding (N, S).
    """

    def __init__(self, env: Any, seed: int) -> None:
        import torch

        from sage_envs.room import OBJECTS, OBSTACLES
        from sage_envs.snapshot import layout

        self.env, self.where = env, layout(env)
        self.generator = torch.Generator().manual_seed(seed)
        env.reset(seed=seed)
        self.calm = env.snapshot()
        silence = self.calm[:, self.where["senses.audio"]].clone()
        still = ("robot.velocity", "robot.joint_position", "robot.joint_velocity", "objects.velocity", "last_action")
        for name in (*still, "senses.force", "senses.velocity", "senses.imu_velocity", "senses.joint_speed"):
            self.calm[:, self.where[name]] = 0.0
        self.put(self.calm, "robot.pose", 0, torch.tensor([0.0, 0.0, 0.0]))
        for i, thing in enumerate(OBJECTS):
            self.put(self.calm, "objects.pose", i, torch.tensor([0.5 * i - 1.6, -1.6, thing.height / 2]))
        for i in range(len(OBSTACLES)):
            self.put(self.calm, "task.obstacles", i, torch.tensor([0.7 * i - 1.5, 1.6, 0.3]))
        env.restore(self.calm)
        env.advance(30)
        self.calm = env.snapshot()
        self.calm[:, self.where["senses.audio"]] = silence

    def put(self, rows: Tensor, part: str, index: int, place: Tensor) -> None:
        """Put one body, upright, at a place (3,) or one a world (N, 3)."""
        start = self.where[part].start + 7 * index
        rows[:, start : start + 3] = place
        rows[:, start + 3 : start + 7] = rows.new_tensor([0.0, 0.0, 0.0, 1.0])

    def uniform(self, low: float, high: float) -> Tensor:
        """One number a world (N,)."""
        import torch

        return low + (high - low) * torch.rand(self.env.num_envs, generator=self.generator)


def audio(table: Table, stage: Stage, rounds: int) -> None:
    """Objects fall: of what material, and when did they hit?"""
    import torch

    from sage_envs.room import OBJECTS

    env, n = stage.env, stage.env.num_envs
    materials = sorted({thing.material for thing in OBJECTS})
    levels: list[Tensor] = []
    labels: list[Tensor] = []
    moments: list[Tensor] = []
    for _ in range(rounds):
        rows = stage.calm.clone()
        which = torch.randint(len(OBJECTS), (n,), generator=stage.generator)
        heading, distance, height = stage.uniform(-1.2, 1.2), stage.uniform(0.5, 1.3), stage.uniform(0.1, 0.5)
        for i, thing in enumerate(OBJECTS):
            place = torch.stack([distance * heading.cos(), distance * heading.sin(), thing.height / 2 + height], dim=1)
            some = which == i
            part = rows[some]
            stage.put(part, "objects.pose", i, place[some])
            rows[some] = part
        env.restore(rows)
        pieces, force = [], []
        for _ in range(LOOKS):
            for _ in range(env.cfg.decimation):
                env.advance(1)
                force.append(env.scene["object_contacts"].data.net_normal_forces_w.torch.norm(dim=-1))
            pieces.append(env.observe(("audio",))["policy"]["audio"])
        touched = torch.stack(force)[:, torch.arange(n), which] > 1.0  # (ticks, N)
        moments.append(touched.float().argmax(0) * env.physics_dt)
        levels.append(torch.stack(pieces, dim=1))  # (N, looks, 1024)
        labels.append(torch.tensor([materials.index(OBJECTS[int(i)].material) for i in which]))
    heard, label, moment = torch.cat(levels), torch.cat(labels), torch.cat(moments)
    known = torch.arange(len(heard)) < len(heard) // 2
    # Ears, bands and frames in the order of time: what was loudest in each band tells the material.
    cells = heard.view(len(heard), LOOKS, 2, 32, 16).movedim(1, 3).flatten(3)
    loudest = cells.amax(dim=(1, 3))
    told = _ridge(loudest[known], torch.nn.functional.one_hot(label[known]).float(), loudest[~known]).argmax(1)
    right = torch.stack([(told[label[~known] == k] == k).float().mean() for k in range(len(materials))])
    table.add(OURS, "audio: material", "balanced_accuracy", float(right.mean()))
    # The growth of the level from frame to frame, matched with the mean onset's: a linear filter slid along time.
    growth = cells.amax(1).diff(dim=-1).clamp(min=0.0)  # (M, bands, frames - 1)
    step = env.step_dt / 16
    at = (moment / step).long()
    width = 5
    windows = growth.unfold(2, width, 1)  # (M, bands, frames, width)
    frames = torch.arange(windows.shape[2])
    onset = ((frames - at.unsqueeze(1)).abs() <= 1).float()
    flat = windows.movedim(1, 2).flatten(2)
    weights = _ridge_weights(flat[known].flatten(0, 1), onset[known].flatten().unsqueeze(1))
    score = (_with_one(flat[~known].flatten(0, 1)) @ weights).view(-1, len(frames))
    error = (score.argmax(1) * step - moment[~known]).abs() * 1e3
    table.add(OURS, "audio: moment", "median_ms", float(error.median()))
    table.add(OURS, "audio: moment", "p90_ms", float(error.quantile(0.9)))


def touch(table: Table, stage: Stage, rounds: int) -> None:
    """The rover drives into an obstacle: on which side?"""
    import torch

    env = stage.env
    errors, sums = [], []
    for _ in range(rounds):
        rows = stage.calm.clone()
        yaw = stage.uniform(-math.pi, math.pi)
        start = stage.where["robot.pose"].start
        rows[:, start + 5], rows[:, start + 6] = (yaw / 2).sin(), (yaw / 2).cos()
        side = stage.uniform(-1.0, 1.0)
        backwards = stage.uniform(-1.0, 1.0) < 0
        bearing = yaw + side + math.pi * backwards.float()
        stage.put(rows, "task.obstacles", 1, torch.stack([0.5 * bearing.cos(), 0.5 * bearing.sin(), 0.3 + 0 * yaw], 1))
        env.restore(rows)
        drive = torch.where(backwards, -0.5, 0.5).unsqueeze(1).expand(-1, 2)
        for _ in range(12):
            env.command(drive)
            env.advance(env.cfg.decimation)
            taxels = env.observe(("tactile",))["policy"]["tactile"]
            force = env.touch.forces(env.cfg.decimation).mean(1)
            size = force.norm(dim=-1).sum(1)
            pose = env.robot.data.body_link_pose_w.torch[:, env._camera_body]
            turned = 2.0 * torch.atan2(pose[:, 5], pose[:, 6])
            whole = force.sum(1)
            true = torch.atan2(-whole[:, 1], -whole[:, 0]) - turned
            around = torch.arange(16) * (2 * math.pi / 16)
            sector = taxels.view(-1, 16, 8).sum(2)
            felt = torch.atan2((sector * around.sin()).sum(1), (sector * around.cos()).sum(1))
            firm = size > 1.0
            wrong = torch.remainder(felt - true + math.pi, 2 * math.pi) - math.pi
            errors.append(wrong[firm].abs().rad2deg())
            sums.append(((taxels.sum(1) - size).abs() / size.clamp(min=1e-6))[firm])
    error, off = torch.cat(errors), torch.cat(sums)
    table.add(OURS, "touch: side", "contacts", len(error))
    table.add(OURS, "touch: side", "median_deg", float(error.median()))
    table.add(OURS, "touch: side", "p95_deg", float(error.quantile(0.95)))
    table.add(OURS, "touch: sum", "worst_relative", float(off.max()))


def depth(table: Table, stage: Stage, rounds: int) -> None:
    """Rays to the floor and the walls, worked out by hand."""
    import torch
    from isaaclab.utils.math import quat_apply

    from sage_envs.room import ROOM_HALF
    from sage_envs.senses.segmentation import CLASSES

    env = stage.env
    env.reset(seed=int(torch.randint(2**31, (), generator=stage.generator)))
    matrix = env.scene["camera"].data.intrinsic_matrices.torch[0]
    size = env.scene["camera"].cfg.width
    column, row = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="xy")
    ray = torch.stack(
        [torch.ones(size, size), -(column - matrix[0, 2]) / matrix[0, 0], -(row - matrix[1, 2]) / matrix[1, 1]], -1
    )
    errors = []
    for _ in range(rounds):
        for _ in range(5):
            env.step(2 * torch.rand(env.num_envs, 2, generator=stage.generator) - 1)
        seen = env.observe()
        position, quat = env.camera_pose()
        origin = position - env.scene.env_origins
        n = env.num_envs
        way = quat_apply(
            quat[:, None].expand(n, size * size, 4).contiguous(), ray.flatten(0, 1).expand(n, -1, 3).contiguous()
        )
        # Along the optical axis a ray goes 1 m a unit, so its length in units is the depth.
        floor = -origin[:, None, 2] / way[..., 2]
        sides = torch.where(way[..., :2] > 0, ROOM_HALF, -ROOM_HALF)
        wall = ((sides - origin[:, None, :2]) / way[..., :2]).amin(-1)
        classes = seen["critic"]["semantic_segmentation"].flatten(1)
        told = seen["policy"]["depth"].flatten(1)
        for name, true in (("floor", floor), ("wall", wall)):
            some = classes == CLASSES.index(name)
            errors.append(((told - true).abs() / true)[some])
    error = torch.cat(errors)
    pick = error[torch.randperm(len(error), generator=stage.generator)[:1_000_000]]
    table.add(OURS, "depth", "median_relative", float(pick.median()))
    table.add(OURS, "depth", "p99_relative", float(pick.quantile(0.99)))


def imu(table: Table, stage: Stage, rounds: int) -> None:
    """At rest under gravities of many strengths."""
    import torch

    env, worst = stage.env, 0.0
    layout = env.proprioceptive_layout["imu_acceleration"]
    for _ in range(max(1, rounds // 10)):
        env.restore(stage.calm)
        gravity = torch.zeros(env.num_envs, 3)
        gravity[:, 2] = -stage.uniform(1.0, 20.0)
        env.physics.set_gravity(gravity)
        env.command(torch.zeros(env.num_envs, 2))
        for _ in range(60):
            env.advance(env.cfg.decimation)
            told = env.observe(("proprioceptive",))["policy"]["proprioceptive"][:, layout]
        worst = max(worst, float((told + gravity).norm(dim=1).max()))
    table.add(OURS, "imu", "worst_m_s2", worst)


def _with_one(features: Tensor) -> Tensor:
    import torch

    return torch.cat([features, torch.ones(len(features), 1)], dim=1)


def _ridge_weights(features: Tensor, targets: Tensor, strength: float = 1.0) -> Tensor:
    import torch

    x = _with_one(features).double()
    return torch.linalg.solve(x.T @ x + strength * torch.eye(x.shape[1]), x.T @ targets.double()).float()


def _ridge(features: Tensor, targets: Tensor, others: Tensor) -> Tensor:
    """Ridge regression, fitted on some and applied to others."""
    return _with_one(others) @ _ridge_weights(features, targets)


if __name__ == "__main__":
    sys.exit(main())
