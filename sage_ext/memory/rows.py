"""The ring of rows: one raw memory-mapped file for each leaf of a step."""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path

import torch
from tensordict import MemoryMappedTensor
from torch import Tensor

from ..errors import SageError
from .disk import writing
from .schema import Leaf, Schema

_CHUNK_ROWS, _CHUNK_BYTES = 2048, 64 * 2**20


class Rows:
    """Fixed-size rows on disk, written in place and read as copies.

    Rows are read through memory-mapped tensors, but written with ``pwrite`` into the same page
    cache: a first write through a mapping costs one page fault for every 4 KiB (17 times slower
    here) and would answer a full disk with SIGBUS instead of an error.

    Args:
        folder: Where the files lie.
        schema: The leaves of a row.
        capacity: How many rows the files hold.

    Raises:
        SageError: A file is missing or has another size than the schema says.
    """

    def __init__(self, folder: Path, schema: Schema, capacity: int) -> None:
        self._folder, self._schema, self._capacity = folder, schema, capacity
        # Counted anew in every session: a copied memory may have lost what was reserved.
        self._reserved = 0
        self._files: dict[Leaf, FileIO] = {}
        self._maps: dict[Leaf, Tensor] = {}
        try:
            for leaf in schema.leaves:
                self._open(leaf)
        except BaseException:
            self.close()
            raise

    def _open(self, leaf: Leaf) -> None:
        path, size = self._folder / leaf.file, leaf.row_bytes * self._capacity
        try:
            self._files[leaf] = FileIO(path, "r+")
        except OSError as error:
            raise SageError(
                "memory.path", path, f"cannot be opened ({error.strerror})", "restore it or delete the memory's folder"
            ) from error
        if path.stat().st_size != size:
            raise SageError(
                "memory.path", path, f"has {path.stat().st_size} bytes, not the {size} that meta.json says",
                "restore it or delete the memory's folder",
            )  # fmt: skip
        mapped = MemoryMappedTensor.from_filename(path, leaf.dtype, torch.Size((self._capacity, *leaf.shape)))
        # As a plain tensor: indexing then makes plain copies, without the subclass' bookkeeping.
        self._maps[leaf] = mapped.as_subclass(Tensor)

    @staticmethod
    def create(folder: Path, schema: Schema, capacity: int) -> None:
        """Make the files, sparse: they take no space before rows are reserved."""
        with writing(folder, schema.row_bytes * capacity):
            folder.mkdir(parents=True, exist_ok=True)
            for leaf in schema.leaves:
                with open(folder / leaf.file, "wb") as file:
                    file.truncate(leaf.row_bytes * capacity)

    def reserve(self, rows: int) -> None:
        """Make sure that the disk has room for the first ``rows`` rows, some ahead.

        Raises:
            SageError: It has not; nothing was changed.
        """
        step = max(1, min(_CHUNK_ROWS, _CHUNK_BYTES // self._schema.row_bytes))
        while self._reserved < min(rows, self._capacity):
            chunk = min(step, self._capacity - self._reserved)
            with writing(self._folder, chunk * self._schema.row_bytes):
                for leaf, file in self._files.items():
                    size = leaf.row_bytes
                    os.posix_fallocate(file.fileno(), self._reserved * size, chunk * size)
            self._reserved += chunk

    def write(self, position: int, values: list[Tensor]) -> None:
        """Write consecutive rows, around the ring's end if need be.

        Args:
            position: Position of the first one; its row is ``position % capacity``.
            values: For each leaf in order, ``(rows, *shape)`` on the CPU.
        """
        row = position % self._capacity
        with writing(self._folder, self._schema.row_bytes * len(values[0])):
            for (leaf, file), value in zip(self._files.items(), values, strict=True):
                size = leaf.row_bytes
                data = memoryview(value.contiguous().as_strided((value.numel(),), (1,)).view(torch.uint8).numpy())
                cut = (self._capacity - row) * size
                _write(file.fileno(), data[:cut], row * size)
                if cut < len(data):
                    _write(file.fileno(), data[cut:], 0)

    def read(self, leaf: Leaf, rows: Tensor) -> Tensor:
        """Copy rows of one leaf.

        Args:
            leaf: Which.
            rows: Indices of shape ``(*batch)``, int64.

        Returns:
            Shape ``(*batch, *shape)``.
        """
        if not self._maps:
            raise ValueError("memory is closed")
        return self._maps[leaf].index_select(0, rows.reshape(-1)).view(*rows.shape, *leaf.shape)

    def flush(self) -> None:
        """Wait until all rows are on the disk."""
        for file in self._files.values():
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close the files and drop the mappings."""
        for file in self._files.values():
            file.close()
        self._maps.clear()


def _write(fd: int, data: memoryview, offset: int) -> None:
    while data:
        done = os.pwrite(fd, data, offset)
        data, offset = data[done:], offset + done
