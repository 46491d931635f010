"""What the memory asks of the file system: errors a user can mend, atomic files, a locked counter."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import SageError

_FULL = {
    errno.ENOSPC: "disk is full",
    errno.EDQUOT: "quota is used up",
    errno.EFBIG: "limit of file size is reached",
}


@contextmanager
def writing(path: Path, size: int = 0) -> Iterator[None]:
    """Turn a failed write below ``path`` into an error that says what to mend.

    Args:
        path: The memory's folder or a file in it.
        size: How many bytes are about to be needed.

    Raises:
        SageError: The block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            there = next(p for p in (path, *path.parents) if p.exists())
            free = shutil.disk_usage(there).free
            problem = f"{_FULL[error.errno]}: needs {size / 1e6:.1f} MB, {free / 1e6:.1f} MB free"
            raise SageError("memory.path", path, problem, "free space or set memory.path to another disk") from error
        problem = f"cannot be written ({error.strerror})"
        raise SageError("memory.path", path, problem, "set memory.path to a writable folder") from error


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file so that a kill leaves either the old or the new one."""
    temporary = path.with_name(path.name + ".new")
    with writing(path, len(data)):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


class Counter:
    """An int64 in a file, locked against a second process for as long as it is open.

    Args:
        path: An existing file of 8 bytes.
        shared: Locked only against processes that do not share it.

    Raises:
        SageError: The file is missing or broken, or another memory has it open.
    """

    def __init__(self, path: Path, shared: bool = False) -> None:
        folder = path.parent
        try:
            self._file = open(path, "r+b", buffering=0)  # noqa: SIM115  kept open
        except OSError as error:
            raise SageError(
                "memory.path", path, f"cannot be opened ({error.strerror})", "restore it or delete the memory's folder"
            ) from error
        try:
            fcntl.flock(self._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise SageError(
                "memory.path", folder, "is in use by another process", "stop that one or set another memory.path"
            ) from error
        data = self._file.read()
        self.value = int.from_bytes(data, "little", signed=True)
        if len(data) != 8 or self.value < 0:
            self._file.close()
            raise SageError("memory.path", path, "is corrupt", "restore it or delete the memory's folder")

    @staticmethod
    def create(path: Path) -> None:
        """Write a counter of 0."""
        with writing(path, 8):
            path.write_bytes(bytes(8))

    def set(self, value: int) -> None:
        """Store a value; it outlives the process from here on."""
        with writing(Path(self._file.name), 8):
            os.pwrite(self._file.fileno(), value.to_bytes(8, "little", signed=True), 0)
        self.value = value

    def flush(self) -> None:
        """Wait until the value is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, which unlocks it."""
        self._file.close()
