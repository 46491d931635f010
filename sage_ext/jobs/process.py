"""Which process it was: a number alone is given to another one later."""

from __future__ import annotations

from pathlib import Path


def started(pid: int) -> int | None:
    """When a process started, in the kernel's clock ticks since it booted; None if it does not run.

    A process that has ended and waits for its parent to notice does not run.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The name in the second field may hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
