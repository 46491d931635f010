"""Write ``rover.usda``: a two-wheeled robot with a round skin and a slick caster.

Run ``python envs/assets/build_rover.py`` after changing a number here; the result is committed.
"""

from __future__ import annotations

from pathlib import Path

from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics, UsdShade

CHASSIS_RADIUS = 0.18
CHASSIS_HEIGHT = 0.20
CHASSIS_BOTTOM = 0.05
WHEEL_RADIUS = 0.08
WHEEL_WIDTH = 0.03
HALF_TRACK = 0.14
CASTER_RADIUS = 0.03


def _shape(prim: UsdGeom.Gprim, color: tuple[float, float, float], collide: bool) -> None:
    prim.CreateDisplayColorAttr([Gf.Vec3f(*color)])
    if collide:
        UsdPhysics.CollisionAPI.Apply(prim.GetPrim())


def _body(stage: Usd.Stage, path: str, position: tuple[float, float, float], mass: float) -> UsdGeom.Xform:
    xform = UsdGeom.Xform.Define(stage, path)
    xform.AddTranslateOp().Set(Gf.Vec3d(*position))
    UsdPhysics.RigidBodyAPI.Apply(xform.GetPrim())
    UsdPhysics.MassAPI.Apply(xform.GetPrim()).CreateMassAttr(mass)
    return xform


def _material(stage: Usd.Stage, path: str, friction: float) -> UsdShade.Material:
    material = UsdShade.Material.Define(stage, path)
    api = UsdPhysics.MaterialAPI.Apply(material.GetPrim())
    api.CreateStaticFrictionAttr(friction)
    api.CreateDynamicFrictionAttr(friction)
    api.CreateRestitutionAttr(0.0)
    # PhysxSchema has no Python bindings outside Kit, so its attributes are written by name.
    material.GetPrim().AddAppliedSchema("PhysxMaterialAPI")
    material.GetPrim().CreateAttribute("physxMaterial:frictionCombineMode", Sdf.ValueTypeNames.Token).Set("min")
    return material


def _bind(prim: UsdGeom.Gprim, material: UsdShade.Material) -> None:
    UsdShade.MaterialBindingAPI.Apply(prim.GetPrim()).Bind(material, UsdShade.Tokens.weakerThanDescendants, "physics")


def build(path: Path) -> None:
    """Write the robot.

    Args:
        path: File to write; lengths in m, masses in kg, angles of USD in degrees.
    """
    stage = Usd.Stage.CreateInMemory()
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    UsdPhysics.SetStageKilogramsPerUnit(stage, 1.0)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    root = UsdGeom.Xform.Define(stage, "/rover")
    stage.SetDefaultPrim(root.GetPrim())
    UsdPhysics.ArticulationRootAPI.Apply(root.GetPrim())
    root.GetPrim().AddAppliedSchema("PhysxArticulationAPI")
    root.GetPrim().CreateAttribute("physxArticulation:enabledSelfCollisions", Sdf.ValueTypeNames.Bool).Set(False)

    rubber = _material(stage, "/rover/materials/tyre", 1.0)
    shell = _material(stage, "/rover/materials/shell", 0.3)
    slick = _material(stage, "/rover/materials/caster", 0.0)

    chassis = _body(stage, "/rover/chassis", (0.0, 0.0, 0.0), 6.0)
    UsdPhysics.MassAPI(chassis.GetPrim()).CreateCenterOfMassAttr(Gf.Vec3f(0.02, 0.0, 0.08))
    UsdPhysics.MassAPI(chassis.GetPrim()).CreateDiagonalInertiaAttr(Gf.Vec3f(0.06, 0.06, 0.09))
    skin = UsdGeom.Cylinder.Define(stage, "/rover/chassis/skin")
    skin.CreateRadiusAttr(CHASSIS_RADIUS)
    skin.CreateHeightAttr(CHASSIS_HEIGHT)
    skin.AddTranslateOp().Set(Gf.Vec3d(0.0, 0.0, CHASSIS_BOTTOM + CHASSIS_HEIGHT / 2))
    _shape(skin, (0.85, 0.85, 0.9), collide=True)
    _bind(skin, shell)
    nose = UsdGeom.Cube.Define(stage, "/rover/chassis/nose")
    nose.CreateSizeAttr(0.06)
    nose.AddTranslateOp().Set(Gf.Vec3d(0.12, 0.0, CHASSIS_BOTTOM + CHASSIS_HEIGHT + 0.03))
    _shape(nose, (0.15, 0.15, 0.2), collide=False)
    for name, x in (("caster_front", 0.13), ("caster_back", -0.13)):
        caster = UsdGeom.Sphere.Define(stage, f"/rover/chassis/{name}")
        caster.CreateRadiusAttr(CASTER_RADIUS)
        caster.AddTranslateOp().Set(Gf.Vec3d(x, 0.0, CASTER_RADIUS + 0.001))
        _shape(caster, (0.3, 0.3, 0.3), collide=True)
        _bind(caster, slick)

    for name, side in (("left", 1.0), ("right", -1.0)):
        y = side * HALF_TRACK
        _body(stage, f"/rover/{name}_wheel", (0.0, y, WHEEL_RADIUS), 0.5)
        tyre = UsdGeom.Cylinder.Define(stage, f"/rover/{name}_wheel/tyre")
        tyre.CreateRadiusAttr(WHEEL_RADIUS)
        tyre.CreateHeightAttr(WHEEL_WIDTH)
        tyre.CreateAxisAttr(UsdGeom.Tokens.y)
        _shape(tyre, (0.1, 0.1, 0.1), collide=True)
        _bind(tyre, rubber)
        joint = UsdPhysics.RevoluteJoint.Define(stage, f"/rover/{name}_wheel_joint")
        joint.CreateBody0Rel().SetTargets(["/rover/chassis"])
        joint.CreateBody1Rel().SetTargets([f"/rover/{name}_wheel"])
        joint.CreateAxisAttr(UsdPhysics.Tokens.y)
        joint.CreateLocalPos0Attr(Gf.Vec3f(0.0, y, WHEEL_RADIUS))
        joint.CreateLocalRot0Attr(Gf.Quatf(1.0))
        joint.CreateLocalPos1Attr(Gf.Vec3f(0.0))
        joint.CreateLocalRot1Attr(Gf.Quatf(1.0))
        drive = UsdPhysics.DriveAPI.Apply(joint.GetPrim(), "angular")
        drive.CreateTypeAttr("force")
        drive.CreateStiffnessAttr(0.0)
        drive.CreateDampingAttr(0.035)
        drive.CreateMaxForceAttr(20.0)
    stage.GetRootLayer().Export(str(path))


if __name__ == "__main__":
    target = Path(__file__).with_name("rover.usda")
    build(target)
    print(f"wrote {target.name}")
