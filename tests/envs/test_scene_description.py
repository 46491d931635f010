"""What is read from a USD stage: shapes with their sizes, places and colours, bodies and joints."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def described() -> dict[str, dict]:
    """A turned, scaled and moved world with one body of each shape, described; by name."""
    from pxr import Gf, Usd, UsdGeom, UsdPhysics

    from sage_envs.scene_description import POSE, Follow, describe

    stage = Usd.Stage.CreateInMemory()
    root = UsdGeom.Xform.Define(stage, "/World/env_0")
    root.AddTranslateOp().Set((10.0, 0.0, 0.0))
    body = UsdGeom.Xform.Define(stage, "/World/env_0/body")
    UsdPhysics.RigidBodyAPI.Apply(body.GetPrim())
    body.AddTranslateOp().Set((1.0, 2.0, 3.0))
    body.AddRotateZOp().Set(90.0)
    box = UsdGeom.Cube.Define(stage, "/World/env_0/body/box")
    box.GetSizeAttr().Set(1.0)
    box.AddTranslateOp().Set((0.5, 0.0, 0.0))
    box.AddScaleOp().Set((0.1, 0.2, 0.3))
    box.GetDisplayColorAttr().Set([(0.1, 0.2, 0.3)])
    rod = UsdGeom.Capsule.Define(stage, "/World/env_0/rod")
    rod.GetAxisAttr().Set("X")
    rod.GetHeightAttr().Set(2.0)
    rod.GetRadiusAttr().Set(0.5)
    hidden = UsdGeom.Sphere.Define(stage, "/World/env_0/hidden")
    hidden.MakeInvisible()
    mesh = UsdGeom.Mesh.Define(stage, "/World/env_0/square")
    mesh.GetPointsAttr().Set([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)])
    mesh.GetFaceVertexCountsAttr().Set([4])
    mesh.GetFaceVertexIndicesAttr().Set([0, 1, 2, 3])
    mesh.AddScaleOp().Set((2.0, 1.0, 1.0))
    arm = UsdGeom.Xform.Define(stage, "/World/env_0/arm")
    UsdPhysics.RigidBodyAPI.Apply(arm.GetPrim())
    hinge = UsdPhysics.RevoluteJoint.Define(stage, "/World/env_0/hinge")
    hinge.GetBody0Rel().SetTargets(["/World/env_0/body"])
    hinge.GetBody1Rel().SetTargets(["/World/env_0/arm"])
    hinge.GetAxisAttr().Set("Z")
    hinge.GetLocalPos0Attr().Set(Gf.Vec3f(0.0, 0.0, 1.0))
    hinge.GetLocalPos1Attr().Set(Gf.Vec3f(-1.0, 0.0, 0.0))
    told = {"body": [Follow("place", 0, POSE)], "hinge": [Follow("angles", 1)]}
    found = describe(root.GetPrim(), told)
    return {"whole": found, **{s["name"]: s for s in found["shapes"]}, **{b["name"]: b for b in found["bodies"]}}


def test_a_box_in_its_body(described: dict) -> None:
    box = described["body/box"]
    assert box["kind"] == "box" and box["body"] == "body"
    np.testing.assert_allclose(box["size"], (0.1, 0.2, 0.3), atol=1e-6)
    np.testing.assert_allclose(box["pose"], (0.5, 0, 0, 0, 0, 0, 1), atol=1e-6)
    np.testing.assert_allclose(box["color"], (0.1, 0.2, 0.3), atol=1e-6)
    half = 0.5**0.5
    np.testing.assert_allclose(described["body"]["pose"], (1, 2, 3, 0, 0, half, half), atol=1e-6)


def test_a_lying_capsule_is_turned_from_the_vertical(described: dict) -> None:
    from sage_ext.live.scene import rotated

    rod = described["rod"]
    assert (rod["kind"], rod["size"], rod["body"]) == ("capsule", [0.5, 2.0], None)
    np.testing.assert_allclose(np.abs(rotated(np.array(rod["pose"][3:]), np.array([0, 0, 1.0]))), (1, 0, 0), atol=1e-6)


def test_a_mesh_is_scaled_and_cut_into_triangles(described: dict) -> None:
    square = described["square"]
    assert square["points"][2] == [2.0, 1.0, 0.0]
    assert square["faces"] == [[0, 1, 2], [0, 2, 3]]


def test_what_is_hidden_is_left_out(described: dict) -> None:
    assert "hidden" not in described


def test_what_hangs_on_a_joint_follows_its_angle(described: dict) -> None:
    from sage_ext.live.scene import Scene

    scene = Scene(described["whole"])
    truth = {"place": np.array([5.0, 0, 0, 0, 0, 0, 1]), "angles": np.array([9.0, np.pi / 2])}
    poses = scene.poses(truth)
    np.testing.assert_allclose(poses["body"], truth["place"])
    # The arm's origin is a metre ahead of the hinge, which is a metre above the body.
    np.testing.assert_allclose(poses["arm"][:3], (5, 1, 1), atol=1e-6)
    np.testing.assert_allclose(scene.poses({"place": truth["place"]})["arm"][:3], (6, 0, 1), atol=1e-6)
