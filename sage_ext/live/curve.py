"""The curve of the loss of a run that is over, from its TensorBoard files."""

from __future__ import annotations

from pathlib import Path

LOSS = "sleep/loss"


def losses(folder: Path, most: int) -> list[tuple[float, float]]:
    """Update and loss, from first to last.

    Args:
        folder: Of the event files; may be missing.
        most: So many points at most, evenly drawn from all.
    """
    if not folder.is_dir():
        return []
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": most, "images": 1})
    events.Reload()
    if LOSS not in events.Tags()["scalars"]:
        return []
    return [(float(event.step), float(event.value)) for event in events.Scalars(LOSS)]
