"""``python -m sage_ext`` is ``sage-ext``."""

from .cli import run

if __name__ == "__main__":
    run()
