"""Physics at run time: what can be set (:mod:`.knobs`), how (:mod:`.control`), and how each engine does it.

Newton keeps one gravity per world. PhysX and OvPhysX keep one for the scene, so a world that
differs gets the difference as a force on the centre of mass of every moving body, each physics
step: exact for rigid bodies, and no other world notices. Everything else is a scale on what the
scene was made with, written to the engine and read back from it.
"""

from .clock import Clock
from .control import PhysicsControl
from .engine import Engine, make_engine
from .knobs import FRICTION, KNOBS, SIZE, CapabilityError, Knob, Scope

__all__ = [
    "FRICTION",
    "KNOBS",
    "SIZE",
    "CapabilityError",
    "Clock",
    "Engine",
    "Knob",
    "PhysicsControl",
    "Scope",
    "make_engine",
]
