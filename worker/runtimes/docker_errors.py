"""What the engine's error messages mean, and how to say it to a person."""

from __future__ import annotations

import requests
from docker.errors import APIError

from worker.runtimes.base import FailureReason, RuntimeFailure

_PULL = (
    (
        ("toomanyrequests", "rate limit"),
        FailureReason.IMAGE_RATE_LIMITED,
        "the registry's rate limit is reached; log in or wait",
    ),
    (
        ("unauthorized", "authentication required", "no basic auth", "forbidden"),
        FailureReason.IMAGE_AUTH,
        "the registry wants a login for it; run docker login on the node",
    ),
    (("no space left",), FailureReason.DISK_FULL, "the node's disk is full; free some space"),
    (
        (
            "not found",
            "pull access denied",
            "manifest unknown",
            "no such image",
            "does not exist",
            "name unknown",
        ),
        FailureReason.IMAGE_NOT_FOUND,
        "it was not found; check the name and tag",
    ),
    (
        (
            "no such host",
            "timeout",
            "timed out",
            "connection refused",
            "network is unreachable",
            "tls",
            "eof",
            "dial tcp",
            "proxyconnect",
            "connection reset",
        ),
        FailureReason.NETWORK,
        "the registry cannot be reached from this node",
    ),
)
_CALL = (
    (("no space left",), FailureReason.DISK_FULL, "the node's disk is full; free some space"),
    (
        ("is already in use by container",),
        FailureReason.NAME_TAKEN,
        "a container of that name exists",
    ),
    (
        ("port is already allocated", "address already in use"),
        FailureReason.PORT_TAKEN,
        "a port it asks for is taken on this node; choose another hostPort",
    ),
    (
        ("executable file not found", "no such file or directory", "not a directory"),
        FailureReason.COMMAND_NOT_FOUND,
        "its command does not exist in the image; check command and args",
    ),
    (
        ("permission denied",),
        FailureReason.COMMAND_NOT_FOUND,
        "its command cannot be executed; check command and the file's mode",
    ),
    (("no such image",), FailureReason.IMAGE_NOT_FOUND, "its image is not on this node"),
)


def pull_failure(image: str, text: str) -> RuntimeFailure:
    """Return the classified failure of a pull."""
    low = text.lower()
    for needles, reason, sentence in _PULL:
        if any(needle in low for needle in needles):
            permanent = reason in {FailureReason.IMAGE_NOT_FOUND, FailureReason.IMAGE_AUTH}
            message = f"image {image} cannot be pulled: {sentence} ({_short(text)})"
            return RuntimeFailure(reason, message, permanent=permanent)
    return RuntimeFailure(FailureReason.UNKNOWN, f"image {image} cannot be pulled: {_short(text)}")


def failure_of(error: Exception, what: str) -> RuntimeFailure:
    """Return the classified failure of any other call."""
    if isinstance(error, APIError):
        return _api_failure(error)
    if isinstance(error, requests.ReadTimeout):
        return RuntimeFailure(FailureReason.UNKNOWN, f"the engine did not answer in time: {what}")
    return RuntimeFailure(
        FailureReason.ENGINE_DOWN,
        f"the container engine does not answer ({what}); is it running on this node?",
    )


def _api_failure(error: APIError) -> RuntimeFailure:
    text = str(error.explanation or error)
    low = text.lower()
    status = error.response.status_code if error.response is not None else 500
    for needles, reason, sentence in _CALL:
        if any(needle in low for needle in needles):
            return RuntimeFailure(reason, f"{sentence} ({_short(text)})", permanent=True)
    if status == 404 or (status == 409 and "is not running" in low):
        return RuntimeFailure(FailureReason.NOT_FOUND, _short(text))
    if status == 409:
        return RuntimeFailure(FailureReason.UNKNOWN, _short(text))
    if status == 400:
        return RuntimeFailure(
            FailureReason.INVALID, f"the engine refuses it: {_short(text)}", permanent=True
        )
    return RuntimeFailure(FailureReason.UNKNOWN, f"the engine failed: {_short(text)}")


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 300 else flat[:297] + "…"
