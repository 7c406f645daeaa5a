"""Print how many mutants of the last `make mutation` were noticed, and fail under nine of ten."""

import json
import sys
from pathlib import Path

GOAL = 0.9
STATS = Path("mutants/mutmut-cicd-stats.json")


def main() -> int:
    """A mutant that never ends is noticed; one that no test reaches is not."""
    found = json.loads(STATS.read_text())
    noticed = found["killed"] + found["timeout"] + found["segfault"]
    tried = noticed + found["survived"] + found["no_tests"] + found["suspicious"]
    print(f"{noticed:,} of {tried:,} mutants were noticed: {noticed / tried:.1%}. The goal is {GOAL:.0%}.")
    return noticed < GOAL * tried


if __name__ == "__main__":
    sys.exit(main())
