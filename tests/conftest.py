"""What every test shares: Hypothesis profiles and honest skips."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings as hypothesis_settings

hypothesis_settings.register_profile("default", max_examples=50, deadline=None)
hypothesis_settings.register_profile("ci", max_examples=300, deadline=None)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def require_or_skip(name: str, why: str) -> None:
    """Skip for want of something, by name; fail when the caller of the suite requires it."""
    if name in os.environ.get("KIJABI_TEST_REQUIRE", "").split(","):
        pytest.fail(f"{name} is required, but {why}")
    pytest.skip(f"needs {name}: {why}")
