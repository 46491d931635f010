"""The entry in Kit's Window menu, where Kit has menus."""

from __future__ import annotations

from collections.abc import Callable

from omni.kit.menu.utils import MenuItemDescription, add_menu_items, remove_menu_items

MENU, ENTRY = "Window", "SAGE"


class WindowMenu:
    """The entry; :meth:`close` removes it.

    Args:
        toggle: Called when the user chooses it.
    """

    def __init__(self, toggle: Callable[[], None]) -> None:
        self._items = [MenuItemDescription(name=ENTRY, onclick_fn=toggle)]
        add_menu_items(self._items, MENU)

    def close(self) -> None:
        """Remove the entry."""
        remove_menu_items(self._items, MENU)
        self._items = []
