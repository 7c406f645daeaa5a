"""What is left of a refused body is read, so that the client reads the answer, but only within limits."""

import io
from types import SimpleNamespace

import pytest

from userimages.http import MAX_DRAIN, drain, values


class Trickle(io.RawIOBase):
    """A body that goes on as long as somebody reads, and counts how often."""

    reads = 0

    def read(self, size=-1):
        self.reads += 1
        return b"x"


def test_the_rest_of_a_refused_body_is_read():
    """The next request on the connection begins after it."""
    stream = io.BytesIO(bytes(200_000) + b"next")
    drain(stream, 200_000)
    assert stream.read() == b"next"


def test_a_body_of_unknown_length_is_read_to_its_end():
    """A body of unknown length is read to its end."""
    stream = io.BytesIO(bytes(200_000))
    drain(stream, None)
    assert stream.read() == b""


def test_a_body_announced_as_too_long_is_not_read():
    """A body announced as too long is not read."""
    stream = Trickle()
    drain(stream, MAX_DRAIN + 1)
    assert stream.reads == 0


@pytest.mark.parametrize("length", [None, MAX_DRAIN])
def test_a_body_that_trickles_is_given_up(length, monkeypatch):
    """Not its length but its time ends it: here ten looks at the clock are five seconds."""
    clock = iter(range(1000))
    monkeypatch.setattr(values, "time", SimpleNamespace(monotonic=lambda: next(clock) / 2))
    stream = Trickle()
    drain(stream, length)
    assert 5 <= stream.reads <= 10
