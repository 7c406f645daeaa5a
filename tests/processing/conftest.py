"""What the tests of processing share: a processor, and builders of files on the path.

``USERIMAGES_WITHOUT_FAST`` runs all of them as on a machine where the extra ``fast`` is not installed.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from userimages.processing import PillowProcessor, resize

if os.environ.get("USERIMAGES_WITHOUT_FAST"):
    sys.modules["cykooz_resizer"] = None  # its import fails, as where it is not installed


@pytest.fixture
def processor() -> PillowProcessor:
    return PillowProcessor()


@pytest.fixture
def without_fast(monkeypatch):
    """Shrink with Pillow."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "cykooz_resizer", None)
        resize.fast.cache_clear()
        yield
    resize.fast.cache_clear()
