"""MP4 files: H.264 pictures and, where there is sound, AAC. Needs no display."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .errors import SageError

SOUND_RATE = 48000
"""Samples a second of the sound in the file: a rate that every player knows [Hz]."""


class Mp4:
    """An MP4 file that is written picture by picture.

    A context manager: the file is there, whole, once the block has ended well; after an error there is none.

    Args:
        path: The file.
        fps: Pictures a second.
        sound_rate: Samples a second of what :meth:`hear` is given [Hz]; no sound without it.
        key: Setting to name in errors.

    Raises:
        SageError: PyAV is not installed.
    """

    def __init__(self, path: Path, fps: int, sound_rate: int | None = None, key: str = "video") -> None:
        try:
            import av
        except ImportError as error:
            raise SageError(key, "true", "PyAV is not installed", "install it: pip install av") from error
        self._av, self._path, self._fps, self._rate = av, path, fps, sound_rate
        self._temporary = path.with_name(f".{path.stem}.new.mp4")
        self._container: Any = None
        self._pictures: Any = None
        self._sound: Any = None
        self._heard = 0

    def show(self, image: np.ndarray) -> None:
        """Add a picture (H, W, 3) uint8, H and W even and as in the first."""
        if self._container is None:
            self._open(image.shape[0], image.shape[1])
        frame = self._av.VideoFrame.from_ndarray(image, format="rgb24")
        self._container.mux(self._pictures.encode(frame))

    def hear(self, sound: np.ndarray) -> None:
        """Add sound (samples, 2) in -1..1, left and right; the first picture comes before it."""
        frame = self._av.AudioFrame.from_ndarray(
            np.ascontiguousarray(sound.T, dtype=np.float32), format="fltp", layout="stereo"
        )
        frame.sample_rate = self._rate or SOUND_RATE
        frame.time_base, frame.pts = Fraction(1, frame.sample_rate), self._heard
        self._heard += len(sound)
        for piece in self._resampler.resample(frame):
            self._container.mux(self._sound.encode(piece))

    def _open(self, height: int, width: int) -> None:
        # The index first, so that browsers play before all is loaded.
        self._container = self._av.open(str(self._temporary), "w", options={"movflags": "+faststart"})
        self._pictures = self._container.add_stream("libx264", rate=self._fps, options={"crf": "20"})
        self._pictures.height, self._pictures.width = height, width
        # What every player can decode.
        self._pictures.pix_fmt = "yuv420p"
        if self._rate is not None:
            self._sound = self._container.add_stream("aac", rate=SOUND_RATE, layout="stereo")
            self._resampler = self._av.AudioResampler(format="fltp", layout="stereo", rate=SOUND_RATE)

    def __enter__(self) -> Mp4:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file; after an error leave none."""
        if self._container is None:
            return
        if kind is None:
            if self._sound is not None:
                for piece in self._resampler.resample(None):
                    self._container.mux(self._sound.encode(piece))
                self._container.mux(self._sound.encode())
            self._container.mux(self._pictures.encode())
        self._container.close()
        if kind is None:
            os.replace(self._temporary, self._path)
        else:
            self._temporary.unlink(missing_ok=True)
