"""Write ``franka.usda``: a Franka Panda with its hand, made of few primitives for fast ray casting.

Joint frames, limits, masses and inertias are those of ``franka_description`` (Apache License 2.0, see
``FRANKA_LICENSE``), which the package ``example-robot-data`` ships; the meshes are replaced by capsules and
boxes that were fitted to their bounds. To build it again::

    pip download --no-deps example-robot-data==6.0.0 && unzip -q example_robot_data-*.whl
    python envs/assets/build_franka.py cmeel.prefix/share/example-robot-data/robots/panda_description/urdf/panda.urdf
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics, UsdShade

READY = (0.0, -math.pi / 4, 0.0, -3 * math.pi / 4, 0.0, math.pi / 2, math.pi / 4, 0.04, 0.04)
"""Joints that the file starts with: the maker's own ready pose, gripper open [rad, m]."""
FLANGE = "panda_link8"
"""A massless link between arm and hand; left out, its two fixed joints become one."""
STIFFNESS, DAMPING = {"revolute": 2000.0, "prismatic": 2000.0}, {"revolute": 120.0, "prismatic": 100.0}

Vector = tuple[float, float, float]
WHITE, DARK, RUBBER = (0.90, 0.90, 0.88), (0.28, 0.30, 0.34), (0.12, 0.12, 0.14)


@dataclass(frozen=True)
class Capsule:
    """A capsule from ``start`` to ``end``, which are the centres of its caps [m]."""

    start: Vector
    end: Vector
    radius: float
    color: Vector = WHITE


@dataclass(frozen=True)
class Box:
    """A box about ``centre`` with edges ``size`` [m]."""

    centre: Vector
    size: Vector
    color: Vector = DARK


def _finger(side: float) -> list[Capsule | Box]:
    """Stem and rubber tip; the tip's inner face, y = 0, is the pad."""
    return [
        Box((0.0, side * 0.0165, 0.018), (0.020, 0.017, 0.036)),
        Box((0.0, side * 0.0076, 0.04525), (0.0175, 0.0152, 0.0185), RUBBER),
    ]


SHAPES: dict[str, list[Capsule | Box]] = {
    "panda_link0": [Box((-0.04, 0.0, 0.03), (0.20, 0.16, 0.058)), Capsule((0.0, 0.0, 0.07), (0.0, 0.0, 0.09), 0.06)],
    "panda_link1": [
        Capsule((0.0, 0.0, -0.14), (0.0, 0.0, -0.03), 0.058),
        Capsule((0.0, -0.07, 0.0), (0.0, 0.0, 0.0), 0.058),
    ],
    "panda_link2": [
        Capsule((0.0, 0.0, 0.0), (0.0, 0.0, 0.07), 0.058),
        Capsule((0.0, -0.14, 0.0), (0.0, -0.03, 0.0), 0.058),
    ],
    "panda_link3": [
        Capsule((0.0, 0.0, -0.07), (0.0, 0.0, 0.0), 0.056),
        Capsule((0.0825, 0.0, 0.0), (0.0825, 0.055, 0.0), 0.055),
    ],
    "panda_link4": [
        Capsule((0.0, 0.0, 0.0), (0.0, 0.0, 0.055), 0.055),
        Capsule((-0.0825, 0.02, 0.0), (-0.0825, 0.07, 0.0), 0.055),
    ],
    "panda_link5": [
        Capsule((0.0, 0.0, -0.21), (0.0, 0.02, -0.16), 0.055),
        Capsule((0.0, 0.065, -0.16), (0.0, 0.075, 0.0), 0.045),
    ],
    "panda_link6": [
        Capsule((0.0, 0.0, -0.01), (0.0, 0.0, 0.01), 0.05),
        Capsule((0.088, 0.0, 0.0), (0.088, 0.03, 0.0), 0.048),
    ],
    "panda_link7": [Capsule((0.0, 0.0, 0.07), (0.0, 0.0, 0.08), 0.043)],
    "panda_hand": [Box((0.0, 0.0, 0.025), (0.055, 0.20, 0.08), WHITE)],
    "panda_leftfinger": _finger(1.0),
    "panda_rightfinger": _finger(-1.0),
}


@dataclass(frozen=True)
class Joint:
    """A joint of the source model; its frame is given in the parent's [m, rad]."""

    name: str
    kind: str
    parent: str
    child: str
    frame: Gf.Matrix4d
    backwards: bool
    limits: tuple[float, float]
    effort: float
    speed: float


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split()]


def _frame(joint: ElementTree.Element) -> Gf.Matrix4d:
    origin = joint.find("origin")
    assert origin is not None
    roll, pitch, yaw = (math.degrees(a) for a in _numbers(origin.attrib["rpy"]))
    turn = Gf.Rotation(Gf.Vec3d.XAxis(), roll) * Gf.Rotation(Gf.Vec3d.YAxis(), pitch)
    turn = turn * Gf.Rotation(Gf.Vec3d.ZAxis(), yaw)
    return Gf.Matrix4d(turn, Gf.Vec3d(*_numbers(origin.attrib["xyz"])))


def _joints(robot: ElementTree.Element) -> list[Joint]:
    """Joints of the source model in order, without the massless flange."""
    joints: list[Joint] = []
    flange = Gf.Matrix4d(1.0)
    for node in robot.findall("joint"):
        parent, child = (node.find(tag).attrib["link"] for tag in ("parent", "child"))  # type: ignore[union-attr]
        if child == FLANGE:
            flange = _frame(node)
            continue
        if child not in SHAPES:
            continue
        frame = _frame(node)
        if parent == FLANGE:
            frame, parent = frame * flange, "panda_link7"
        axis, limit = node.find("axis"), node.find("limit")
        backwards = axis is not None and min(_numbers(axis.attrib["xyz"])) < 0
        bounds = dict.fromkeys(("lower", "upper", "effort", "velocity"), 0.0)
        if limit is not None:
            bounds.update({k: float(v) for k, v in limit.attrib.items()})
        joints.append(
            Joint(
                node.attrib["name"],
                node.attrib["type"],
                parent,
                child,
                frame,
                backwards,
                (bounds["lower"], bounds["upper"]),
                bounds["effort"],
                bounds["velocity"],
            )
        )
    return joints


def _shape(stage: Usd.Stage, path: str, shape: Capsule | Box, material: UsdShade.Material) -> None:
    gprim: UsdGeom.Gprim
    if isinstance(shape, Box):
        gprim = UsdGeom.Cube.Define(stage, path)
        gprim.CreateSizeAttr(1.0)
        gprim.AddTranslateOp().Set(Gf.Vec3d(*shape.centre))
        gprim.AddScaleOp().Set(Gf.Vec3f(*shape.size))
    else:
        start, end = Gf.Vec3d(*shape.start), Gf.Vec3d(*shape.end)
        gprim = UsdGeom.Capsule.Define(stage, path)
        gprim.CreateRadiusAttr(shape.radius)
        gprim.CreateHeightAttr((end - start).GetLength())
        gprim.CreateAxisAttr(UsdGeom.Tokens.z)
        gprim.AddTranslateOp().Set((start + end) / 2)
        gprim.AddOrientOp().Set(Gf.Quatf(Gf.Rotation(Gf.Vec3d.ZAxis(), end - start).GetQuat()))
    gprim.CreateDisplayColorAttr([Gf.Vec3f(*shape.color)])
    UsdPhysics.CollisionAPI.Apply(gprim.GetPrim())
    binding = UsdShade.MaterialBindingAPI.Apply(gprim.GetPrim())
    binding.Bind(material, UsdShade.Tokens.weakerThanDescendants, "physics")


def _mass(prim: Usd.Prim, inertial: ElementTree.Element) -> None:
    """Mass, centre of mass and principal inertia of a link of the source model."""
    parts = {child.tag: child.attrib for child in inertial}
    xx, xy, xz, yy, yz, zz = (float(parts["inertia"][k]) for k in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz"))
    moments, axes = np.linalg.eigh(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
    axes[:, 2] *= np.linalg.det(axes)  # a rotation, not a reflection
    # Gf multiplies rows from the left: its rotation matrix is the transpose.
    turn = Gf.Matrix3d(*(float(v) for v in axes.T.flatten())).ExtractRotation().GetQuat()
    api = UsdPhysics.MassAPI.Apply(prim)
    api.CreateMassAttr(float(parts["mass"]["value"]))
    api.CreateCenterOfMassAttr(Gf.Vec3f(*_numbers(parts["origin"]["xyz"])))
    api.CreateDiagonalInertiaAttr(Gf.Vec3f(*(float(m) for m in moments)))
    api.CreatePrincipalAxesAttr(Gf.Quatf(turn))


def _rubber(stage: Usd.Stage, path: str, friction: float) -> UsdShade.Material:
    material = UsdShade.Material.Define(stage, path)
    api = UsdPhysics.MaterialAPI.Apply(material.GetPrim())
    api.CreateStaticFrictionAttr(friction)
    api.CreateDynamicFrictionAttr(friction)
    api.CreateRestitutionAttr(0.0)
    return material


def _joint(stage: Usd.Stage, joint: Joint) -> None:
    schema = {"fixed": "FixedJoint", "revolute": "RevoluteJoint", "prismatic": "PrismaticJoint"}[joint.kind]
    prim = getattr(UsdPhysics, schema).Define(stage, f"/franka/{joint.name}")
    prim.CreateBody0Rel().SetTargets([f"/franka/{joint.parent}"])
    prim.CreateBody1Rel().SetTargets([f"/franka/{joint.child}"])
    half_turn = Gf.Quatf(0.0, 0.0, 0.0, 1.0) if joint.backwards else Gf.Quatf(1.0)
    prim.CreateLocalPos0Attr(Gf.Vec3f(joint.frame.ExtractTranslation()))
    prim.CreateLocalRot0Attr(Gf.Quatf(joint.frame.ExtractRotationQuat()) * half_turn)
    prim.CreateLocalPos1Attr(Gf.Vec3f(0.0))
    prim.CreateLocalRot1Attr(half_turn)
    if joint.kind == "fixed":
        return
    turns = joint.kind == "revolute"
    unit = math.degrees(1.0) if turns else 1.0
    prim.CreateAxisAttr(UsdPhysics.Tokens.z if turns else UsdPhysics.Tokens.y)
    prim.CreateLowerLimitAttr(joint.limits[0] * unit)
    prim.CreateUpperLimitAttr(joint.limits[1] * unit)
    # Without a drive PhysX lets a joint go limp, and says nothing.
    drive = UsdPhysics.DriveAPI.Apply(prim.GetPrim(), "angular" if turns else "linear")
    drive.CreateTypeAttr("force")
    drive.CreateStiffnessAttr(STIFFNESS[joint.kind] / unit)
    drive.CreateDampingAttr(DAMPING[joint.kind] / unit)
    drive.CreateMaxForceAttr(joint.effort)
    # PhysxSchema has no Python bindings outside Kit, so its attributes are written by name.
    prim.GetPrim().AddAppliedSchema("PhysxJointAPI")
    prim.GetPrim().CreateAttribute("physxJoint:maxJointVelocity", Sdf.ValueTypeNames.Float).Set(joint.speed * unit)


def build(urdf: Path, path: Path) -> None:
    """Write the robot.

    Args:
        urdf: The source model.
        path: File to write; lengths in m, masses in kg, angles of USD in degrees.
    """
    robot = ElementTree.parse(urdf).getroot()
    inertials = {link.attrib["name"]: link.find("inertial") for link in robot.findall("link")}
    joints = _joints(robot)
    stage = Usd.Stage.CreateInMemory()
    stage.GetRootLayer().documentation = "Derived from franka_description, Apache License 2.0; see FRANKA_LICENSE."
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    UsdPhysics.SetStageKilogramsPerUnit(stage, 1.0)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    root = UsdGeom.Xform.Define(stage, "/franka")
    stage.SetDefaultPrim(root.GetPrim())

    # The joint to the world carries the articulation: OvPhysX gives not-a-number for a base that floats.
    base = UsdPhysics.FixedJoint.Define(stage, "/franka/root_joint")
    base.CreateBody1Rel().SetTargets(["/franka/panda_link0"])
    UsdPhysics.ArticulationRootAPI.Apply(base.GetPrim())
    base.GetPrim().AddAppliedSchema("PhysxArticulationAPI")
    base.GetPrim().CreateAttribute("physxArticulation:enabledSelfCollisions", Sdf.ValueTypeNames.Bool).Set(False)

    shell, rubber = _rubber(stage, "/franka/materials/shell", 0.4), _rubber(stage, "/franka/materials/pad", 1.2)
    pose = {"panda_link0": Gf.Matrix4d(1.0)}
    ready = iter(READY)
    for joint in joints:
        here = joint.frame * pose[joint.parent]
        if joint.kind == "revolute":
            turn = Gf.Rotation(Gf.Vec3d.ZAxis(), math.degrees(next(ready)))
            here = Gf.Matrix4d(turn, Gf.Vec3d(0.0)) * here
        elif joint.kind == "prismatic":
            way = next(ready) * (-1.0 if joint.backwards else 1.0)
            here = Gf.Matrix4d(1.0).SetTranslate(Gf.Vec3d(0.0, way, 0.0)) * here
        pose[joint.child] = here
    for link, shapes in SHAPES.items():
        xform = UsdGeom.Xform.Define(stage, f"/franka/{link}")
        xform.AddTranslateOp().Set(pose[link].ExtractTranslation())
        xform.AddOrientOp().Set(Gf.Quatf(pose[link].ExtractRotationQuat()))
        UsdPhysics.RigidBodyAPI.Apply(xform.GetPrim())
        inertial = inertials[link]
        assert inertial is not None
        _mass(xform.GetPrim(), inertial)
        for i, shape in enumerate(shapes):
            material = rubber if link.endswith("finger") else shell
            _shape(stage, f"/franka/{link}/shape_{i}", shape, material)
    for joint in joints:
        _joint(stage, joint)
    stage.GetRootLayer().Export(str(path))


if __name__ == "__main__":
    target = Path(__file__).with_name("franka.usda")
    build(Path(sys.argv[1]), target)
    print(f"wrote {target.name}")
