"""The script behind ``make r2``, against the S3 server of the tests."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[2] / "scripts" / "r2_check.py"


def run(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("R2_")} | environ
    return subprocess.run([sys.executable, SCRIPT], check=False, env=environ, capture_output=True, text=True)


def test_it_leads_an_image_through_its_life(seaweedfs: Any) -> None:
    """About twenty requests do it."""
    done = run(seaweedfs.environ())
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("seen on 20")
    assert "all well" in last
    assert 15 <= int(last.split()[-2]) <= 30


def test_without_settings_it_says_which_are_missing() -> None:
    """Without settings it says which are missing, and asks nothing."""
    done = run({})
    assert done.returncode == 2
    assert "R2_BUCKET_NAME" in done.stdout


def test_wrong_credentials_are_told_without_a_secret(seaweedfs: Any) -> None:
    """Wrong credentials are told without a secret."""
    done = run(seaweedfs.environ() | {"R2_SECRET_ACCESS_KEY": "wrong-and-secret"})
    assert done.returncode == 1
    assert "FAIL  bucket" in done.stdout
    assert "wrong-and-secret" not in done.stdout + done.stderr
