"""A stand-in for omni.ui: it keeps what the window sets and lets a test press its buttons. The real one draws.

It has those classes and arguments of omni.ui that the window uses, and no others.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any


class Value:
    def __init__(self, value: Any = 0) -> None:
        self.value = value

    def set_value(self, value: Any) -> None:
        self.value = value

    @property
    def as_int(self) -> int:
        return int(self.value)


class Widget:
    def __init__(self, **options: Any) -> None:
        made.append(self)
        self.options = options

    def __enter__(self) -> Widget:
        return self

    def __exit__(self, *error: object) -> None:
        return


class Window(Widget):
    def __init__(self, title: str, *, width: int, height: int) -> None:
        super().__init__()
        self.title, self.visible, self.destroyed, self.frame = title, True, False, Widget()

    def destroy(self) -> None:
        self.destroyed = True


class Label(Widget):
    def __init__(self, text: str, **options: Any) -> None:
        super().__init__(**options)
        self.text = text


class Button(Label):
    def __init__(self, text: str, *, clicked_fn: Callable[[], None]) -> None:
        super().__init__(text)
        self.press = clicked_fn


class Field(Widget):
    def __init__(self) -> None:
        super().__init__()
        self.model = Value()


class ComboBox(Widget):
    def __init__(self, index: int, *items: str) -> None:
        super().__init__()
        self.items, value = items, Value(index)
        self.model = types.SimpleNamespace(get_item_value_model=lambda: value)

    def choose(self, item: str) -> None:
        self.model.get_item_value_model().set_value(self.items.index(item))


class Plot(Widget):
    def __init__(self, kind: str, low: float, high: float, *values: float, height: int, style: dict) -> None:
        super().__init__()
        self.scale_min, self.scale_max, self.values = low, high, values

    def set_data(self, *values: float) -> None:
        self.values = values


class ByteImageProvider:
    def __init__(self) -> None:
        self.size, self.data = [0, 0], b""

    def set_bytes_data(self, data: Any, size: list[int]) -> None:
        self.data, self.size = bytes(data), size


class ImageWithProvider(Widget):
    def __init__(self, provider: ByteImageProvider, *, height: int) -> None:
        super().__init__()
        self.provider = provider


made: list[Any] = []
"""Every widget, in the order they were made."""


def module() -> types.ModuleType:
    """The stand-in, to be put in place of ``omni.ui``."""
    made.clear()
    ui: Any = types.ModuleType("omni.ui")
    ui.Window, ui.Label, ui.Button, ui.ComboBox, ui.Plot = Window, Label, Button, ComboBox, Plot
    ui.ScrollingFrame = ui.VStack = ui.HStack = Widget
    ui.IntField = ui.ProgressBar = Field
    ui.ByteImageProvider, ui.ImageWithProvider = ByteImageProvider, ImageWithProvider
    ui.Type = types.SimpleNamespace(LINE="line")
    return ui


def the(kind: type, number: int = 0) -> Any:
    """The ``number``-th widget of a kind."""
    return [widget for widget in made if type(widget) is kind][number]


def button(text: str) -> Button:
    """The button with a text."""
    (found,) = [w for w in made if isinstance(w, Button) and w.text == text]
    return found
