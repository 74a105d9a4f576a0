"""Programs of the system that the gateway calls: `nft`, `conntrack`, `iptables`, `ip`, `bridge`."""

from __future__ import annotations

import subprocess


def call(*words: str, seconds: float, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program, with `text` as its input, and return how it ended and what it said.

    Raises:
        OSError: it cannot be run, or takes longer than so many seconds.
    """
    try:
        return subprocess.run(  # noqa: S603, our own words
            words, input=text, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired as expired:
        raise TimeoutError(str(expired)) from expired
