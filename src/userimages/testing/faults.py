"""Let a storage or a repository fail in a chosen way, so that a test shows what your own code does then.

::

    storage = faulty(MemoryStorage(), put=[after(StorageUnavailableError("No answer in time."))])

wraps a storage. Its first ``put`` succeeds but reports a time-out, and later calls behave normally. A repository is
wrapped in the same way.

A plan is one fault for all calls, or a sequence with one entry for each call. None means no fault, and so does the end
of the sequence. A fault is a function of the ``Call``, so you can write your own.
"""

import copy
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, BinaryIO, TypeVar, cast

import attrs

from userimages.errors import ConfigurationError, KeyTakenError, RepositoryError, StorageError, StorageUnavailableError


@attrs.frozen
class Call:
    """A call of a method that has not been made yet."""

    method: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def do(self) -> Any:
        """Make the call and return its result."""
        return self.method(*self.args, **self.kwargs)


Fault = Callable[[Call], Any]
Plan = Fault | Sequence[Fault | None]
P = TypeVar("P")

TIMED_OUT = StorageUnavailableError("The store did not answer in time.")
DISK_FULL = StorageError("The disk is full. (ENOSPC)")
DISK_FAILED = StorageUnavailableError("The disk failed to read or write. (EIO)")
TAKEN = KeyTakenError("Other bytes are already stored under this key. (412)")
TOO_MANY_REQUESTS = StorageUnavailableError("The store accepts no more requests at the moment. (429)")
NOT_IMPLEMENTED = StorageError("The store does not implement this request. (501)")
UNAVAILABLE = StorageUnavailableError("The store is unavailable. (503)")
CONNECTION_LOST = RepositoryError("The connection to the database was lost.")


def faulty(backend: P, **plans: Plan) -> P:
    """Return *backend*, a storage or a repository, with faults in the methods that *plans* name.

    Raises:
        ConfigurationError: *backend* has no such method, or a plan is neither a fault nor a list of faults.

    >>> from userimages.storages.memory import MemoryStorage
    >>> storage = faulty(MemoryStorage(), put=[before(DISK_FULL), None])
    >>> storage.put("users/ana/images/cat.jpg", b"meow", mime_type="image/jpeg")
    Traceback (most recent call last):
    userimages.errors.StorageError: The disk is full. (ENOSPC)
    >>> storage.put("users/ana/images/cat.jpg", b"meow", mime_type="image/jpeg")
    """
    for name, plan in plans.items():
        if not callable(getattr(backend, name, None)):
            raise ConfigurationError(f"{type(backend).__name__} has no method {name}.", hint="Name one of its methods.")
        faults = [plan] if callable(plan) or isinstance(plan, str) else plan
        if not isinstance(faults, Sequence) or not all(each is None or _is_fault(each) for each in faults):
            raise ConfigurationError(
                f"Invalid plan for {name}: expected a fault or a list of faults.", hint=f"Write {name}=before(error)."
            )
    return cast(P, _Faulty(backend, plans))


def before(error: BaseException) -> Fault:
    """Raise *error* instead of making the call."""

    def fault(call: Call) -> Any:
        raise copy.copy(error)

    return fault


def after(error: BaseException) -> Fault:
    """Make the call, then raise *error*: a time-out that succeeded, or a commit whose answer was lost."""

    def fault(call: Call) -> Any:
        getattr(call.do(), "close", bool)()
        raise copy.copy(error)

    return fault


def partial(error: BaseException) -> Fault:
    """Put the first half of the bytes, then raise *error*, as a store does that is not all or nothing."""

    def fault(call: Call) -> Any:
        key, data = call.args
        attrs.evolve(call, args=(key, data[: len(data) // 2])).do()
        raise copy.copy(error)

    return fault


def slow(wait: Callable[[], object]) -> Fault:
    """Call *wait*, then make the call. *wait* may sleep, or move a clock past a lease."""

    def fault(call: Call) -> Any:
        wait()
        return call.do()

    return fault


def wrong_bytes(call: Call) -> BinaryIO:
    """Open a stream whose first byte is wrong."""
    return cast(BinaryIO, _Wrong(call.do()))


def reset_at(byte: int) -> Fault:
    """Open a stream that breaks after *byte* bytes."""

    def fault(call: Call) -> BinaryIO:
        return cast(BinaryIO, _Breaking(call.do(), byte))

    return fault


class LateWrite:
    """Raise *error* at once, and make the call later, when ``land()`` is called.

    >>> from userimages.storages.memory import MemoryStorage
    >>> late = LateWrite()
    >>> storage = faulty(MemoryStorage(), put=late)
    >>> storage.put("users/ana/images/cat.jpg", b"meow", mime_type="image/jpeg")
    Traceback (most recent call last):
    userimages.errors.StorageUnavailableError: The store did not answer in time.
    >>> late.land()
    >>> storage.open("users/ana/images/cat.jpg").read()
    b'meow'
    """

    def __init__(self, error: BaseException = TIMED_OUT) -> None:
        self._error = error
        self._calls: list[Call] = []

    def __call__(self, call: Call) -> Any:
        """Keep the call for later."""
        self._calls.append(call)
        raise copy.copy(self._error)

    def land(self) -> None:
        """Make the calls that were kept."""
        while self._calls:
            self._calls.pop(0).do()


class _Faulty:
    """A backend whose methods follow their plan."""

    def __init__(self, backend: object, plans: Mapping[str, Plan]) -> None:
        self._backend = backend
        self._plans = {name: _faults(plan) for name, plan in plans.items()}
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        return self._planned(found, self._plans[name]) if name in self._plans else found

    def _planned(self, method: Callable[..., Any], plan: Iterator[Fault | None]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                fault = next(plan)
            asked = Call(method, args, kwargs)
            return asked.do() if fault is None else fault(asked)

        return call


class _Stream(io.BufferedIOBase):
    """A stream that reads from another one and counts the bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._position = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._stream.read(-1 if size is None else size)
        self._position += len(data)
        return data

    def read1(self, size: int = -1, /) -> bytes:
        return self.read(size)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Wrong(_Stream):
    def read(self, size: int | None = -1, /) -> bytes:
        at_start = self._position == 0
        data = super().read(size)
        return bytes([data[0] ^ 0xFF]) + data[1:] if data and at_start else data


class _Breaking(_Stream):
    def __init__(self, stream: BinaryIO, byte: int) -> None:
        super().__init__(stream)
        self._byte = byte

    def read(self, size: int | None = -1, /) -> bytes:
        left, whole = self._byte - self._position, size is None or size < 0
        data = super().read(left if whole else min(size or 0, left))
        broke = self._position == self._byte
        if broke and (whole or (size and not data)):
            raise StorageUnavailableError("The connection to the store broke.")
        return data


def _is_fault(entry: object) -> bool:
    """Tell a fault from a class of errors, and from a function such as ``before`` that was not called."""
    return callable(entry) and not isinstance(entry, type) and entry not in (before, after, partial, slow, reset_at)


def _faults(plan: Plan) -> Iterator[Fault | None]:
    return repeat(plan) if callable(plan) else chain(plan, repeat(None))
