"""peaks.py FORMAT FILE...: process each file in a child of its own and print its estimate and its peak, as JSON lines.

Files that are refused are passed over. FORMAT is that of the stored picture, in JSON.
"""

import json
import os
import sys
from pathlib import Path

from userimages.errors import RejectedImageError
from userimages.processing import Fit, PillowProcessor, Recipe
from userimages.processing.intake import examine
from userimages.processing.memory import estimate
from userimages.testing import make_image


def resident(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def main():
    recipe = Recipe(format=json.loads(sys.argv[1]), variants={"320": Fit(320), "1280": Fit(1280)})
    processor = PillowProcessor(recipes={"cover": recipe})
    for format, mode in (("JPEG", "RGB"), ("PNG", "RGBA"), ("GIF", "P"), ("WEBP", "RGBA")):  # loads what all share
        processor(make_image(format, (64, 48), mode=mode), "cover")
    for path in sys.argv[2:]:
        if (child := os.fork()) == 0:
            data = Path(path).read_bytes()
            before = resident("VmRSS")
            try:
                needed = estimate(examine(data, processor.limits), recipe)
                processor(data, "cover")
            except RejectedImageError:
                os._exit(0)
            line = {"file": Path(path).name, "estimate": needed, "peak": resident("VmHWM") - before}
            print(json.dumps(line), flush=True)  # noqa: T201 - its output
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
