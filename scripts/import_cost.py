"""Print what ``from userimages import ImageService`` costs in CPU, beside what it cannot do without."""

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


def main() -> None:
    """Time all three in turn, so that a change of the machine's speed meets them alike."""
    ours, parts = "from userimages import ImageService", "import attrs, hashlib, logging, uuid"
    cpu_ms(ours)  # writes the bytecode
    rounds = [[cpu_ms(code) for code in ("pass", parts, ours)] for _ in range(RUNS)]
    bare, with_parts, with_ours = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"bare {bare:.1f} ms; over it: {parts} {with_parts - bare:.1f} ms, {ours} {with_ours - bare:.1f} ms")
    scaled = 30 * (with_ours - bare) / (with_parts - bare)
    print(f"The aim is {LIMIT_MS} ms on a machine where the first takes 30 ms: scaled to it, {scaled:.0f} ms.")


if __name__ == "__main__":
    main()
