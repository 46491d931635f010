"""Experience memory: what was lived, on disk, whole episodes only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tensordict import TensorDict
from torch import Tensor

from ..errors import SageError
from .disk import Counter, writing
from .index import Episode, EpisodeIndex
from .journal import Journal
from .ongoing import Ongoing, check_capacity
from .rows import Rows
from .schema import ENDS, SNAPSHOT, Key, Meta, Schema


class Memory:
    """A ring of steps on disk, in which episodes stay whole or are forgotten whole.

    A folder holds ``meta.json`` (what a step is), ``rows/`` (one raw file for each leaf),
    ``head`` (how many rows were ever claimed) and ``episodes.jsonl`` (the complete episodes).
    What is complete survives the death of the process at any instant, because the head moves
    before rows are overwritten and an episode is recorded after its rows were written. It
    survives the death of the machine as of the last :meth:`flush`, if nothing was appended since.
    One process at a time may have a memory open to write; any number, if none of them writes. Not safe for threads.
    """

    def __init__(self, path: Path | str, shared: bool = False) -> None:
        self.path, self._shared = Path(path), shared
        meta = Meta.load(self.path / "meta.json")
        self.capacity, self.max_episode_steps, self.schema = meta.capacity, meta.max_episode_steps, meta.schema
        self._index = EpisodeIndex(self.capacity)
        self._ongoing = Ongoing(self.capacity, self.max_episode_steps)
        self._head = Counter(self.path / "head", shared)
        try:
            self._rows = Rows(self.path / "rows", self.schema, self.capacity)
            self._journal = Journal(self.path / "episodes.jsonl")
        except BaseException:
            self.close()
            raise
        # Rows beyond the head are not claimed, so what lies there will be overwritten without notice.
        recorded = self._journal.episodes
        claimed = [e for e in recorded if e.start + (e.length - 1) * e.stride < self.head]
        self._index.add(claimed)
        self._index.forget(self.head - self.capacity)
        if not shared:
            self._journal.compact(self._index.episodes, force=len(claimed) < len(recorded))

    @classmethod
    def create(cls, path: Path | str, step: TensorDict, capacity: int = 100_000, *, max_episode_steps: int) -> Memory:
        """Make an empty memory and open it.

        Args:
            path: Its folder; must not hold a memory yet.
            step: An example of one world's step, batch size ``[]``: tensors under nested keys, with
                ``terminated``, ``truncated``, and ``has_snapshot`` where slices may begin at snapshots.
            capacity: How many steps it holds.
            max_episode_steps: No episode is longer.

        Raises:
            SageError: There is a memory already, the step cannot be remembered, the capacity is
                smaller than an episode, or the disk refuses.
        """
        path, schema = Path(path), Schema.of(step)
        if (path / "meta.json").exists():
            raise SageError("memory.path", path, "holds a memory already", "open it or set another memory.path")
        check_capacity(capacity, max_episode_steps, 1)
        Rows.create(path / "rows", schema, capacity)
        Counter.create(path / "head")
        with writing(path):
            (path / "episodes.jsonl").write_bytes(b"")
        # Last: a folder without it is no memory, and making one may be tried again.
        Meta(capacity, max_episode_steps, schema).save(path / "meta.json")
        return cls(path)

    @classmethod
    def open(cls, path: Path | str, shared: bool = False) -> Memory:
        """Open an existing memory; episodes that were not complete are gone.

        Args:
            path: Its folder.
            shared: To read, beside other processes that read.

        Raises:
            SageError: There is none, it is broken, or another process has it open in another way.
        """
        return cls(path, shared)

    @property
    def head(self) -> int:
        """Rows ever claimed; the next step of world ``w`` gets position ``head + w``."""
        return self._head.value

    def append(self, steps: TensorDict) -> None:
        """Remember one step of all worlds.

        A world's episode begins with its first step after the memory was opened, after its last
        episode ended, after :meth:`abandon`, and after the number of worlds changed.

        Args:
            steps: Batch size ``[N]``, with the keys, shapes and dtypes of the example step.

        Raises:
            SageError: The steps do not fit, an episode could not stay whole, or the disk is full.
                Nothing was written then, and the same steps may be given again once that is mended.
                Only if the disk fails in the midst of writing are open episodes abandoned.
        """
        self._check_writable()
        values = self.schema.check(steps)
        worlds = steps.batch_size[0]
        self._ongoing.admit(worlds)
        self._journal.settle()
        base = self.head
        self._rows.reserve(base + worlds)
        values = [value.detach().cpu() for value in values]
        ended = (steps.get(ENDS[0]) | steps.get(ENDS[1])).cpu().numpy()
        try:
            self._head.set(base + worlds)
            self._index.forget(self.head - self.capacity)
            self._rows.write(base, values)
            done = self._ongoing.step(base, ended)
        except BaseException:  # Ctrl-C too: an open episode would miss this step and not know it.
            self.abandon()
            raise
        if done:
            self._index.add(done)
            self._journal.add(done)
            self._journal.compact(self._index.episodes)

    def abandon(self) -> None:
        """Forget the episodes that have not ended, as when worlds are reset from outside."""
        self._ongoing.abandon()

    def forget_since(self, position: int) -> None:
        """Forget every episode that began at ``position`` or later, and those that have not ended.

        What is lived again after that is numbered as if they had never been.

        Args:
            position: A former :attr:`head`, for example from before an interrupted wake.
        """
        self._check_writable()
        self._ongoing.abandon()
        self._index.forget_since(position)
        self._journal.compact(self._index.episodes, force=True)
        # Only now that nobody vouches for the rows beyond.
        last = max((e.start + (e.length - 1) * e.stride + 1 for e in self._index.episodes), default=0)
        self._head.set(min(self.head, max(position, last)))

    def _check_writable(self) -> None:
        if self._shared:
            raise SageError("memory.path", self.path, "was opened to be read", "open it without shared=True")

    def __len__(self) -> int:
        """Steps in complete episodes."""
        return self._index.steps

    @property
    def episodes(self) -> list[Episode]:
        """The complete episodes, in the order in which they began."""
        return list(self._index.episodes)

    def episode(self, episode: Episode | int, keys: Sequence[Key] | None = None) -> TensorDict:
        """Read one episode, as a copy.

        Args:
            episode: The episode or its id.
            keys: Which leaves or branches to read; all when None.

        Returns:
            Batch size ``[length]``.
        """
        which = self._index.find(np.array([episode.id if isinstance(episode, Episode) else episode]))
        return self._read(which, np.arange(self._index.lengths(which)[0]), keys)

    def sample(self, n: int, generator: torch.Generator | None = None, keys: Sequence[Key] | None = None) -> TensorDict:
        """Draw steps, uniformly with replacement, as a copy.

        Args:
            n: How many.
            generator: Source of chance; the same seed draws the same steps.
            keys: Which leaves or branches to read; all when None.

        Returns:
            Batch size ``[n]``, with ``episode`` (its id) and ``step`` telling where each was.
        """
        return self._read(*self._index.draw(n, 1, generator), keys)

    def sample_slices(
        self, n: int, length: int, generator: torch.Generator | None = None, snapshot_at: int | None = None,
        keys: Sequence[Key] | None = None,
    ) -> TensorDict:  # fmt: skip
        """Draw contiguous slices, uniformly over all that lie within one episode, as a copy.

        Args:
            n: How many.
            length: Steps of each.
            generator: Source of chance; the same seed draws the same slices.
            snapshot_at: Only slices whose step of this number, counted from 0, ``has_snapshot``.
            keys: Which leaves or branches to read; all when None.

        Returns:
            Batch size ``[n, length]``, with ``episode`` and ``step`` telling where each step was.
        """
        if length < 1:
            raise SageError("memory.length", length, "must be at least 1", "ask for slices of one step or more")
        if snapshot_at is not None and not 0 <= snapshot_at < length:
            raise SageError("memory.snapshot_at", snapshot_at, f"must be 0..{length - 1}", "name a step of the slice")
        marked = None if snapshot_at is None else self._has_snapshot
        which, step = self._index.draw(n, length, generator, marked, snapshot_at or 0)
        return self._read(which[:, None], step[:, None] + np.arange(length), keys)

    def slices_at(
        self, episode_ids: Tensor | Sequence[int], steps: Tensor | Sequence[int], length: int,
        keys: Sequence[Key] | None = None,
    ) -> TensorDict:  # fmt: skip
        """Read given slices, as a copy.

        Args:
            episode_ids: ``(n,)`` ids of episodes.
            steps: ``(n,)`` where each slice begins in its episode.
            length: Steps of each.
            keys: Which leaves or branches to read; all when None.

        Returns:
            Batch size ``[n, length]``.

        Raises:
            SageError: An episode is forgotten, or a slice leaves its episode.
        """
        ids, first = (torch.as_tensor(x, dtype=torch.int64).cpu().numpy() for x in (episode_ids, steps))
        which = self._index.find(ids)
        outside = (first < 0) | (first + length > self._index.lengths(which))
        if outside.any():
            where = f"({ids[outside][0]}, {first[outside][0]})"
            raise SageError("memory.slice", where, f"of {length} steps leaves its episode", "ask for fewer steps")
        return self._read(which[:, None], first[:, None] + np.arange(length), keys)

    def _has_snapshot(self, rows: np.ndarray) -> np.ndarray:
        return self._rows.read(self.schema.select([SNAPSHOT])[0], torch.from_numpy(rows)).numpy()

    def _read(self, which: np.ndarray, step: np.ndarray, keys: Sequence[Key] | None) -> TensorDict:
        """Gather steps; ``which`` and ``step`` broadcast to the batch."""
        leaves = self.schema.select(keys)
        rows = torch.from_numpy(self._index.rows(which, step))
        episode = np.broadcast_to(self._index.starts(which), rows.shape).copy()
        step = np.broadcast_to(step, rows.shape).copy()
        result = TensorDict({"episode": torch.from_numpy(episode), "step": torch.from_numpy(step)}, rows.shape)
        for leaf in leaves:
            result.set(leaf.key, self._rows.read(leaf, rows))
        return result

    def flush(self) -> None:
        """Wait until everything is on the disk: rows first, then what vouches for them."""
        with writing(self.path):
            self._rows.flush()
            self._head.flush()
            self._journal.flush()

    def close(self) -> None:
        """Close the files; another process may open the memory then. Open episodes are lost."""
        for part in ("_journal", "_rows", "_head"):
            if part in vars(self):
                vars(self)[part].close()

    def __enter__(self) -> Memory:
        """Itself, closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
