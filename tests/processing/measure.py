"""measure.py FILE...: process each file in a child of its own and print what came of it, as one JSON line each.

``verdict`` is accept, the name of our error, or ESCAPED; ``cpu`` seconds, ``peak`` MiB of resident memory.
"""

import json
import os
import resource
import sys
import time

import PIL.ImageCms  # noqa: F401 - imported before the fork, so that no child pays for it
from hostile import traces

from userimages.errors import RejectedImageError
from userimages.processing import PillowProcessor


def outcome(path):
    with open(path, "rb") as file:
        data = file.read()
    started = time.process_time()
    try:
        processed = PillowProcessor()(data, "gallery")
    except RejectedImageError as error:
        return {"verdict": type(error).__name__, "message": str(error), "cpu": time.process_time() - started}
    except BaseException as error:
        return {"verdict": "ESCAPED", "message": repr(error), "cpu": time.process_time() - started}
    cpu, image = time.process_time() - started, processed.main
    found = [trace for each in (image, *processed.variants.values()) for trace in traces(each)]
    return {"verdict": "accept", "size": (image.width, image.height), "cpu": cpu, "traces": found}


def main():
    for path in sys.argv[1:]:
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            os.close(reading)
            line = outcome(path) | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
            with os.fdopen(writing, "w") as pipe:
                json.dump(line, pipe)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            text = pipe.read()
        _, status = os.waitpid(child, 0)
        line = json.loads(text) if text else {"verdict": "ESCAPED", "message": f"died: {status}", "cpu": 0, "peak": 0}
        print(json.dumps({"file": os.path.basename(path), **line}), flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    main()
