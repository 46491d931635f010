"""Isaac Lab's contact sensor at little cost a physics step."""

from __future__ import annotations

import warp as wp
from isaaclab.sensors import ContactSensor, ContactSensorCfg
from isaaclab.sensors.contact_sensor import BaseContactSensor
from isaaclab_ov.sensors.contact_sensor import ContactSensor as OvContactSensor


def contact_sensor(cfg: ContactSensorCfg) -> BaseContactSensor:
    """The contact sensor of the engine that runs, see :class:`isaaclab.sensors.ContactSensor`.

    Args:
        cfg: Its config, which names this function as its ``class_type``.
    """
    if ContactSensor.resolve_class(cfg) is OvContactSensor:
        return CapturedContactSensor(cfg)
    return ContactSensor(cfg)


class CapturedContactSensor(OvContactSensor):
    """OvPhysX's contact sensor, whose Warp launches are captured once and replayed.

    One that keeps a history launches the same kernels with the same arguments after every physics step, and to pack
    the arguments takes several times as long as the kernels do. On a GPU it works unchanged: there the engine's
    reading would have to be captured as well.
    """

    def __init__(self, cfg: ContactSensorCfg) -> None:
        super().__init__(cfg)
        self._captured: tuple[float, wp.Graph] | None = None
        self._data_dirty, self._ran = True, False

    def _initialize_impl(self) -> None:
        super()._initialize_impl()
        # Buffers are others now.
        self._captured, self._ran = None, False

    def update(self, dt: float, force_recompute: bool = False) -> None:
        """See :meth:`isaaclab.sensors.SensorBase.update`."""
        same = self._ran and not force_recompute and not wp.get_device(self._device).is_cuda
        if not same:
            super().update(dt, force_recompute)
            # What was never launched would be compiled within the capture.
            self._ran = self._is_initialized and not self._data_dirty
            return
        if self._captured is None or self._captured[0] != dt:
            with wp.ScopedCapture(device=self._device) as capture:
                super().update(dt)
            self._captured = (dt, capture.graph)
        else:
            if self._contact_data_buffers is not None:
                self._contact_binding.read_normal_contact_data(*self._contact_data_buffers)
            self._fetch_ovphysx_buffers()
        wp.capture_launch(self._captured[1])
        self._data_dirty = False
