"""What every test shares: Hypothesis profiles and honest skips."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

# How fast examples are made says how busy the machine is, and nothing of the code.
hypothesis_settings.register_profile(
    "default", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.register_profile(
    "ci", hypothesis_settings.get_profile("default"), max_examples=300
)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def require_or_skip(name: str, why: str) -> None:
    """Skip for want of something, by name; fail when the caller of the suite requires it."""
    if name in os.environ.get("KIJABI_TEST_REQUIRE", "").split(","):
        pytest.fail(f"{name} is required, but {why}")
    pytest.skip(f"needs {name}: {why}")
