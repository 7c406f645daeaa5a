import re
import subprocess
import sys

import pytest

import userimages

FOREIGN = ("boto3", "botocore", "sqlalchemy", "flask", "django", "PIL", "concurrent.futures", "asyncio")


def test_all_names_are_exported_and_sorted() -> None:
    """All names are exported and sorted."""
    public = {name for name, value in vars(userimages).items() if re.match("[A-Z]", name)}
    assert list(userimages.__all__) == sorted(public)


@pytest.mark.parametrize("module", ["userimages", "userimages.http", "userimages.config", "userimages.testing"])
def test_import_loads_no_backend_and_no_framework(module: str) -> None:
    """Import loads no backend and no framework."""
    code = f"import sys, {module}; print([each for each in {FOREIGN} if each in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "[]"


def test_the_helpers_for_tests_need_no_pytest() -> None:
    """The helpers for tests need no pytest."""
    code = "import sys; sys.modules['pytest'] = None; from userimages.testing import *; print(make_image()[:2])"
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert made.strip() == r"b'\xff\xd8'"
