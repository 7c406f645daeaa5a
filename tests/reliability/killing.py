"""A child process that kills itself at a chosen step of what it does, and what it had acknowledged by then."""

import os
import signal
import threading
import traceback
from collections.abc import Callable
from typing import Any

import attrs
import rig

from userimages import ImageService

_OS_STEPS = {"link", "fsync", "unlink", "mkdir", "rmdir"}


@attrs.frozen
class Outcome:
    """How the child ended: killed, or by itself; and the lines that it wrote once something was done."""

    killed: bool
    acknowledged: tuple[str, ...]


class Steps:
    """Counts the steps of this process, and ends it by SIGKILL at the *last* one."""

    def __init__(self, last: int) -> None:
        self._left = last
        self._lock = threading.Lock()

    def __call__(self, *_: object) -> None:
        """Take one step."""
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Stepping:
    """A port whose every call is two steps: before it, and after it."""

    def __init__(self, port: object, step: Steps) -> None:
        self._port, self._step = port, step

    def __getattr__(self, name: str) -> Any:
        return _stepping(getattr(self._port, name), self._step)


class SteppingOS:
    """The module ``os`` as the disk storage sees it: a write is done in halves, and links, syncs ... are steps."""

    def __init__(self, step: Steps) -> None:
        self._step = step

    def __getattr__(self, name: str) -> Any:
        found = getattr(os, name)
        return _stepping(found, self._step) if name in _OS_STEPS else found

    def fdopen(self, file: int, mode: str, **options: Any) -> Any:
        stream = os.fdopen(file, mode, **options)
        return _Halves(stream, self._step) if "w" in mode else stream


class _Halves:
    def __init__(self, stream: Any, step: Steps) -> None:
        self._stream, self._step = stream, step

    def write(self, data: bytes) -> None:
        for half in (data[: len(data) // 2], data[len(data) // 2 :]):
            self._stream.write(half)
            self._stream.flush()
            self._step()

    def __enter__(self) -> "_Halves":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def run_and_kill(
    place: rig.Place, clock: rig.Clock, work: Callable[[ImageService, Callable[[str], None]], None], *, step: int
) -> Outcome:
    """Run *work* in a child that dies at *step*, and wait until nothing of it is left."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _be_the_child(place, clock, work, step, writer)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        lines = pipe.read().splitlines()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, -signal.SIGKILL}, "\n".join(lines)
    rig.wait_until_alone(place)
    return Outcome(status != 0, tuple(lines))


def _be_the_child(place: rig.Place, clock: rig.Clock, work: Any, step: int, writer: int) -> None:
    status = 1
    try:
        steps = Steps(step)
        _step_inside(steps)
        port = {name: Stepping(getattr(place, name), steps) for name in ("storage", "repository")}
        images = rig.service(port["storage"], port["repository"], clock)
        work(images, lambda line: os.write(writer, f"{line}\n".encode()) and None)
        status = 0
    except BaseException:
        os.write(writer, traceback.format_exc().encode())
    finally:
        os._exit(status)


def _step_inside(steps: Steps) -> None:
    """Make steps of what the ports do inside: the system calls of the disk, the statements of the database."""
    from sqlalchemy import Engine, event

    import userimages.storages.disk

    vars(userimages.storages.disk)["os"] = SteppingOS(steps)
    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(Engine, name, steps)


def _stepping(method: Callable[..., Any], step: Steps) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        step()
        result = method(*args, **kwargs)
        step()
        return result

    return call
