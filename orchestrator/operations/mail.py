"""What goes to nodes is sealed and signed for each; what comes is theirs, or it is dropped."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TypeVar

from django.conf import settings
from nacl.encoding import HexEncoder
from nacl.signing import SigningKey

from orchestrator.models import NodeIdentity
from orchestrator.operations import refused_nodes
from worker import envelope, identity, measured, protocol, sealing
from worker.envelope import CONTROL, Refusals, Refused

logger = logging.getLogger(__name__)

refusals = Refusals()
AnyReport = TypeVar("AnyReport", protocol.NodeReport, measured.MetricsReport)


def control_key() -> str:
    """Return the key that checks our letters, in hexadecimal."""
    return _signing_key().verify_key.encode(HexEncoder).decode()


def to_nodes(
    task: str, arguments: Mapping[str, Mapping[str, object]], *, now: float
) -> dict[str, dict[str, str]]:
    """Return the envelope of each node's letter (one query); none for those that never joined."""
    known = dict(NodeIdentity.objects.filter(name__in=arguments).values_list("name", "seal_key"))
    for node in sorted(arguments.keys() - known.keys()):
        refusals.note(Refused("unknown", f"node {node} has no keys: it has to join"))
    return {
        node: _letter(node, known[node], task, words, now)
        for node, words in arguments.items()
        if node in known
    }


def _letter(
    node: str, seal_key: str, task: str, arguments: Mapping[str, object], now: float
) -> dict[str, str]:
    shown, secrets = sealing.hide(task, arguments)
    letter = envelope.write(
        sender=CONTROL,
        audience=node,
        task=task,
        arguments=shown,
        sealed=envelope.seal(secrets, identity.public_key(seal_key)),
        now=now,
    )
    return envelope.sign(letter, _signing_key())


def read_report(wire: object, *, now: float) -> protocol.NodeReport | None:
    """Return the report in an envelope; None when it is not the node's own, or not for now."""
    return _read(protocol.NodeReport, protocol.REPORT_TASK, wire, now)


def read_metrics(wire: object, *, now: float) -> measured.MetricsReport | None:
    """Return the report of metrics in an envelope, under the same conditions."""
    return _read(measured.MetricsReport, protocol.METRICS_TASK, wire, now)


def _read(kind: type[AnyReport], task: str, wire: object, now: float) -> AnyReport | None:
    try:
        return _report(kind, task, wire, now)
    except Refused as refused:
        refusals.note(refused)
        refused_nodes.tell(_claimed(wire), refused, now=now)
        return None


def own_answers(answers: Mapping[str, str], *, now: float) -> set[str]:
    """Return the nodes whose answer to a ping is their own and was given lately (one query)."""
    known = NodeIdentity.objects.filter(name__in=answers).values_list("name", "check_key")
    return {node for node, key in known if _is_answer(node, answers[node], key, now)}


def _is_answer(node: str, wire: str, key: str, now: float) -> bool:
    try:
        envelope.open_letter(
            _envelope(wire),
            identity.verify_key(key),
            audience=CONTROL,
            task=protocol.PING_TASK,
            now=now,
        )
    except Refused as refused:
        refusals.note(refused)
        refused_nodes.note(node, refused, datetime.fromtimestamp(now, UTC))
        return False
    return True


def _claimed(wire: object) -> str:
    try:
        return envelope.signer_of(wire)
    except Refused:
        return ""


def _envelope(text: str) -> object:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused("malformed", "an answer to a ping is no envelope") from error
    return found


def _report(kind: type[AnyReport], task: str, wire: object, now: float) -> AnyReport:
    node = envelope.signer_of(wire)
    key = _check_key(node)
    if key is None:
        raise Refused("unknown", f"a report claims to be from {node!r}, which never joined")
    letter = envelope.open_letter(
        wire, identity.verify_key(key), audience=CONTROL, task=task, now=now
    )
    try:
        report = protocol.from_wire(kind, letter.arguments.get("report"))
    except protocol.NewerVersion as error:
        raise envelope.newer(node, CONTROL, error) from error
    except protocol.MalformedMessage as error:
        raise Refused.of(error, f"a report of node {node}") from error
    if report.node != node:
        raise Refused("forged", f"node {node} signed a report in the name of {report.node}")
    return report


def _check_key(node: str) -> str | None:
    # PostgreSQL cannot even compare with a NUL.
    if "\x00" in node:
        return None
    return NodeIdentity.objects.filter(name=node).values_list("check_key", flat=True).first()


@cache
def _signing_key() -> SigningKey:
    return SigningKey(settings.CONTROL_KEY.encode(), HexEncoder)
