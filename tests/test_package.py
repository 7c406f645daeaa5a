import re
import subprocess
import sys

import pytest

import userimages

FOREIGN = ("boto3", "botocore", "sqlalchemy", "flask", "django", "PIL", "concurrent.futures", "asyncio")


def test_all_names_are_exported_and_sorted() -> None:
    public = {name for name, value in vars(userimages).items() if re.match("[A-Z]", name)}
    assert list(userimages.__all__) == sorted(public)


@pytest.mark.parametrize("module", ["userimages", "userimages.http", "userimages.config", "userimages.testing"])
def test_import_loads_no_backend_and_no_framework(module: str) -> None:
    code = f"import sys, {module}; print([each for each in {FOREIGN} if each in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "[]"


def test_every_name_for_test_suites_is_there() -> None:
    from userimages import testing

    assert all(getattr(testing, name).__name__ == name for name in testing.__all__)
    with pytest.raises(AttributeError):
        testing.nothing  # noqa: B018
