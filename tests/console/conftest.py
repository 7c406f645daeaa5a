"""The console and its checks run in the same places as the proofs of reliability."""

from tests.reliability.conftest import bucket, clock, place

__all__ = ["bucket", "clock", "place"]
