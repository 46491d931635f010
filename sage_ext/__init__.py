"""The mind: context, memory, wake, sleep, dream. Importing this loads nothing heavy."""

from importlib import metadata

try:
    __version__ = metadata.version("sage-ext")
except metadata.PackageNotFoundError:  # run from a checkout that was not installed
    __version__ = "0.1.0"
