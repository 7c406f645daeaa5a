"""What the tests of processing share: a processor, and builders of files on the path."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from userimages.processing import PillowProcessor


@pytest.fixture
def processor() -> PillowProcessor:
    return PillowProcessor()
