"""``python -m userimages``: the console."""

import sys

from userimages.cli import main

if __name__ == "__main__":
    sys.exit(main())
