"""The table of the context."""

from __future__ import annotations

import pytest
import torch

from sage_ext.context.layout import CONTEXT_WIDTH, GROUPS, SENSES, family, group
from sage_ext.errors import SageError


def test_groups_tile_4096_numbers_without_gap_or_overlap() -> None:
    owners = torch.zeros(4096, dtype=torch.long)
    for g in GROUPS.values():
        owners[g.slice] += 1
    assert CONTEXT_WIDTH == 4096 and len(GROUPS) == 15
    assert bool((owners == 1).all())


@pytest.mark.parametrize(
    ("name", "width"), [("sensory", 1536), ("semantic", 1024), ("physical", 768), ("temporal", 768)]
)
def test_families_have_the_widths_of_the_design_and_are_contiguous(name: str, width: int) -> None:
    groups = family(name)
    assert sum(g.width for g in groups) == width
    assert groups[-1].slice.stop - groups[0].start == width


def test_senses_are_the_sensory_groups() -> None:
    assert SENSES == ("visual", "depth", "audio", "tactile", "proprioceptive")


def test_group_is_a_view_and_refuses_unknown_names() -> None:
    context = torch.zeros(2, 3, 4096)
    group(context, "materials").fill_(1.0)
    assert context.sum() == 2 * 3 * 256 and bool((context[..., GROUPS["materials"].slice] == 1).all())
    with pytest.raises(SageError, match="group=material: .*materials"):
        group(context, "material")
