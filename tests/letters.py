"""Both ends of the post: a pretended control plane's keys and letters, and a node's reports."""

from __future__ import annotations

import json
import time
from typing import Any

from worker import envelope, protocol, sealing
from worker.envelope import CONTROL
from worker.identity import Identity, Keys, public_key

CONTROL_KEYS = Keys.make()


def an_identity(node: str = "n1", **fields: str) -> Identity:
    """Return the identity of a node of the pretended control plane."""
    values = {"cluster": "c", "broker": "redis://127.0.0.1:1/0"} | fields
    return Identity(node=node, control_key=CONTROL_KEYS.public[0], keys=Keys.make(), **values)


def letter_to(
    node: Identity,
    task: str,
    *,
    now: float | None = None,
    signed_by: Keys = CONTROL_KEYS,
    **arguments,
) -> dict[str, str]:
    """Return the envelope of a letter to a node, as the control plane writes it."""
    shown, values = sealing.hide(task, arguments)
    letter = envelope.write(
        sender=CONTROL,
        audience=node.node,
        task=task,
        arguments=shown,
        sealed=envelope.seal(values, public_key(node.keys.public[1])),
        now=time.time() if now is None else now,
    )
    return envelope.sign(letter, signed_by.signing_key)


def report_in(wire: dict[str, str]) -> dict[str, Any]:
    """Return the report in an envelope, believed as it is."""
    return json.loads(wire["body"])["arguments"]["report"]


def attacks(
    node: Identity, task: str, *, by: Keys = CONTROL_KEYS, **arguments
) -> list[dict[str, Any]]:
    """Return letters that a node must not act on: forged, re-addressed, truncated, late, odd."""
    good = letter_to(node, task, signed_by=by, **arguments)
    old = time.time() - 2 * envelope.LIVES_SECONDS
    body, half = good["body"], len(good["body"]) // 2
    return [
        letter_to(node, task, signed_by=Keys.make(), **arguments),
        letter_to(node, task, signed_by=node.keys, **arguments),
        letter_to(an_identity("other"), task, signed_by=by, **arguments),
        letter_to(node, protocol.PING_TASK, signed_by=by, **arguments),
        letter_to(node, task, now=old, signed_by=by, **arguments),
        {**good, "body": body[:half]},
        {**good, "body": body.replace(node.node, "n0", 1)},
        {**good, "sig": good["sig"][:-8]},
        {**good, "key": "nobody"},
        {"body": body},
    ]
