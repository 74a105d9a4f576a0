"""What every test shares: a state folder of its own, Hypothesis profiles, honest skips."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest
from hypothesis import settings as hypothesis_settings

# Before Django's settings are read: tests must never see a developer's own state.
_HOME = tempfile.mkdtemp(prefix="kijabi-test-")
os.environ["KIJABI_HOME"] = _HOME
os.environ["REDIS_URL"] = "redis://127.0.0.1:1/0"

hypothesis_settings.register_profile("default", max_examples=50, deadline=None)
hypothesis_settings.register_profile("ci", max_examples=300, deadline=None)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_sessionfinish() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


def require_or_skip(name: str, why: str) -> None:
    """Skip for want of something, by name; fail when the caller of the suite requires it."""
    if name in os.environ.get("KIJABI_TEST_REQUIRE", "").split(","):
        pytest.fail(f"{name} is required, but {why}")
    pytest.skip(f"needs {name}: {why}")
