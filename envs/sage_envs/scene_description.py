"""What a world looks like, as plain data: shapes, the bodies that carry them, and what tells where those are.

Read from the USD stage, so that it holds for every engine and every robot. A viewer needs no simulator: it places the
bodies by the ground truth under ``critic``, which travels with every look and is remembered with every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pxr import Gf, Usd, UsdGeom, UsdPhysics, UsdShade

POSE, POSITION, PLACE, TURN = (0, 1, 2, 3, 4, 5, 6), (0, 1, 2), (0, 1), (3, 4, 5, 6)
"""Entries of a pose, x y z and a quaternion xyzw, that a truth may tell."""
GREY = (0.6, 0.6, 0.6)
MOST_POINTS = 20_000
"""Meshes of more are shown by the box around them."""


class Follow(NamedTuple):
    """Where a body's pose, or a part of it, is told; also where a joint is.

    Attributes:
        truth: Key under ``critic``.
        first: Index of the first number in the flattened entry.
        sets: What the numbers from there on are: entries of the pose. Empty for a joint, whose one number it is.
    """

    truth: str
    first: int
    sets: tuple[int, ...] = ()


def describe(root: Usd.Prim, follows: Mapping[str, Sequence[Follow]]) -> dict[str, list[dict[str, Any]]]:
    """Describe a world.

    Args:
        root: Prim of one world.
        follows: Name of a body or joint (its prim's) -> what tells where it is. Bodies that nothing is told of stay
            where they are, or hang on their joints.

    Returns:
        ``shapes`` (``kind``, ``size`` [m], ``color`` in 0..1, ``pose`` in the frame of ``body``, the world's where
        that is null), ``bodies`` (``pose`` in the world's frame at first) and ``joints`` (``parent`` and ``child``
        bodies, ``axis``, frames in both). Poses are positions [m] and quaternions xyzw.
    """
    cache, origin = UsdGeom.XformCache(), UsdGeom.XformCache().GetLocalToWorldTransform(root).GetInverse()
    bodies, shapes, joints = [], [], []
    for prim in Usd.PrimRange(root, Usd.TraverseInstanceProxies()):
        world = cache.GetLocalToWorldTransform(prim) * origin
        if prim.HasAPI(UsdPhysics.RigidBodyAPI):
            told = [follow._asdict() for follow in follows.get(prim.GetName(), ())]
            bodies.append({"name": prim.GetName(), "pose": _pose(world), "follows": told})
        elif prim.IsA(UsdPhysics.Joint):
            joint = _joint(prim, follows.get(prim.GetName(), ()))
            if joint is not None:
                joints.append(joint)
        elif prim.IsA(UsdGeom.Gprim) and _seen(prim):
            carrier = _carrier(prim, root)
            frame = cache.GetLocalToWorldTransform(carrier) if carrier else cache.GetLocalToWorldTransform(root)
            shape = _shape(prim, cache.GetLocalToWorldTransform(prim) * _rigid(frame).GetInverse())
            if shape is not None:
                name = str(prim.GetPath().MakeRelativePath(root.GetPath()))
                shapes.append({"name": name, "body": carrier.GetName() if carrier else None, **shape})
    return {"shapes": shapes, "bodies": bodies, "joints": joints}


def _seen(prim: Usd.Prim) -> bool:
    image = UsdGeom.Imageable(prim)
    shown = image.ComputeVisibility() != UsdGeom.Tokens.invisible
    return shown and image.ComputePurpose() in (UsdGeom.Tokens.default_, UsdGeom.Tokens.render)


def _carrier(prim: Usd.Prim, root: Usd.Prim) -> Usd.Prim | None:
    while prim and prim != root:
        if prim.HasAPI(UsdPhysics.RigidBodyAPI):
            return prim
        prim = prim.GetParent()
    return None


def _shape(prim: Usd.Prim, place: Gf.Matrix4d) -> dict[str, Any] | None:
    scale = _scale(place)
    look: dict[str, Any] = {"pose": _pose(place), "color": _color(prim)}
    if prim.IsA(UsdGeom.Cube):
        edge = UsdGeom.Cube(prim).GetSizeAttr().Get()
        return {"kind": "box", "size": [edge * s for s in scale], **look}
    if prim.IsA(UsdGeom.Sphere):
        return {"kind": "sphere", "size": [UsdGeom.Sphere(prim).GetRadiusAttr().Get() * scale[0]], **look}
    for kind, schema in (("cylinder", UsdGeom.Cylinder), ("capsule", UsdGeom.Capsule)):
        if prim.IsA(schema):
            gprim = schema(prim)
            along = "XYZ".index(gprim.GetAxisAttr().Get())
            size = [
                gprim.GetRadiusAttr().Get() * scale[(along + 1) % 3],
                gprim.GetHeightAttr().Get() * scale[along],
            ]
            return {"kind": kind, "size": size, **look, "pose": _pose(_lying(along) * place)}
    if prim.IsA(UsdGeom.Mesh):
        return {**_mesh(UsdGeom.Mesh(prim), scale), **look}
    return None


def _mesh(mesh: UsdGeom.Mesh, scale: Sequence[float]) -> dict[str, Any]:
    points = [[float(p[i]) * scale[i] for i in range(3)] for p in mesh.GetPointsAttr().Get() or ()]
    if len(points) > MOST_POINTS:
        low, high = ([f(p[i] for p in points) for i in range(3)] for f in (min, max))
        points = [[(low, high)[c >> i & 1][i] for i in range(3)] for c in range(8)]
        faces = [[0, 2, 1], [1, 2, 3], [4, 5, 6], [5, 7, 6], [0, 1, 4], [1, 5, 4]]
        faces += [[2, 6, 3], [3, 6, 7], [0, 4, 2], [2, 4, 6], [1, 3, 5], [3, 7, 5]]
        return {"kind": "mesh", "size": [], "points": points, "faces": faces}
    faces, first = [], 0
    indices = list(mesh.GetFaceVertexIndicesAttr().Get() or ())
    for count in mesh.GetFaceVertexCountsAttr().Get() or ():
        corners = indices[first : first + count]
        faces += [[corners[0], corners[i], corners[i + 1]] for i in range(1, count - 1)]
        first += count
    return {"kind": "mesh", "size": [], "points": points, "faces": faces}


def _joint(prim: Usd.Prim, follows: Sequence[Follow]) -> dict[str, Any] | None:
    joint = UsdPhysics.Joint(prim)
    ends = [rel.GetTargets() for rel in (joint.GetBody0Rel(), joint.GetBody1Rel())]
    if not all(ends):
        return None
    kinds = {UsdPhysics.RevoluteJoint: "revolute", UsdPhysics.PrismaticJoint: "prismatic"}
    kind = next((name for schema, name in kinds.items() if prim.IsA(schema)), "fixed")
    frames = [
        _entries(joint.GetLocalPos0Attr().Get(), joint.GetLocalRot0Attr().Get()),
        _entries(joint.GetLocalPos1Attr().Get(), joint.GetLocalRot1Attr().Get()),
    ]
    return {
        "parent": ends[0][0].name,
        "child": ends[1][0].name,
        "kind": kind,
        "axis": "XYZ".index(prim.GetAttribute("physics:axis").Get() or "X") if kind != "fixed" else 0,
        "in_parent": frames[0],
        "in_child": frames[1],
        "follows": [follow._asdict() for follow in follows],
    }


def _color(prim: Usd.Prim) -> list[float]:
    material, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()
    shader = material.ComputeSurfaceSource()[0] if material else None
    entry = shader.GetInput("diffuseColor") if shader else None
    color = entry.Get() if entry else None
    if color is None:
        shown = UsdGeom.Gprim(prim).GetDisplayColorAttr().Get()
        color = shown[0] if shown else GREY
    return [float(c) for c in color]


def _scale(matrix: Gf.Matrix4d) -> list[float]:
    return [matrix.GetRow3(i).GetLength() for i in range(3)]


def _rigid(matrix: Gf.Matrix4d) -> Gf.Matrix4d:
    """The matrix without scale."""
    return Gf.Matrix4d(matrix.RemoveScaleShear())


def _lying(along: int) -> Gf.Matrix4d:
    """Turns the z axis, along which viewers draw, into the axis of a USD shape."""
    axis = (Gf.Vec3d(1, 0, 0), Gf.Vec3d(0, 1, 0), Gf.Vec3d(0, 0, 1))[along]
    return Gf.Matrix4d().SetRotate(Gf.Rotation(Gf.Vec3d(0, 0, 1), axis))


def _pose(matrix: Gf.Matrix4d) -> list[float]:
    rigid = _rigid(matrix)
    return _entries(rigid.ExtractTranslation(), rigid.ExtractRotationQuat())


def _entries(position: Any, quat: Any) -> list[float]:
    return [*map(float, position), *map(float, quat.GetImaginary()), float(quat.GetReal())]
