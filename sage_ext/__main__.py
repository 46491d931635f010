"""``python -m sage_ext`` is ``sage-ext``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
