"""Print what ``from userimages import ImageService`` costs in CPU over a bare interpreter; the limit is 50 ms."""

import os
import statistics
import subprocess
import sys

RUNS = 15
LIMIT_MS = 50
CODE = "import resource as r; u = r.getrusage(r.RUSAGE_SELF); print((u.ru_utime + u.ru_stime) * 1000)"


def cpu_ms(code: str) -> float:
    """Return the CPU milliseconds of one interpreter that runs *code*."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", f"{code}\n{CODE}"]
    return float(subprocess.run(command, check=True, capture_output=True, env=environ).stdout)


def main() -> int:
    """Time both in turn, so that a change of the machine's speed meets both."""
    cpu_ms("from userimages import ImageService")  # writes the bytecode
    pairs = [(cpu_ms("pass"), cpu_ms("from userimages import ImageService")) for _ in range(RUNS)]
    bare, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    cost = statistics.median(ours - bare for bare, ours in pairs)
    print(f"bare {bare:.1f} ms, with userimages {ours:.1f} ms: {cost:.1f} ms of at most {LIMIT_MS}")
    return cost > LIMIT_MS


if __name__ == "__main__":
    sys.exit(main())
