"""A pytest plugin loaded before Django's settings are: tests never see a developer's own state."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

HOME = Path(tempfile.mkdtemp(prefix="kijabi-test-"))
(HOME / "static").mkdir()
os.environ["KIJABI_HOME"] = str(HOME)
os.environ["REDIS_URL"] = "redis://127.0.0.1:1/0"


def pytest_sessionfinish() -> None:
    shutil.rmtree(HOME, ignore_errors=True)
