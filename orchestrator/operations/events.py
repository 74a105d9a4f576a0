"""Append what happened and why. Nothing else writes the event table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.models import Deployment, Event, Replica, Result, Severity
from orchestrator.queries.events import SYSTEM as _SYSTEM

SYSTEM = _SYSTEM


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Who changes something, when, in whose words why, and `via` what they came."""

    actor: str
    now: datetime
    reason: str = ""
    via: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a person did to an object; `before` and `after` only where they are short."""

    verb: str
    kind: str
    name: str
    before: str = ""
    after: str = ""


def about_deployment(
    deployment: Deployment,
    *,
    reason: str,
    message: str,
    now: datetime,
    actor: str = SYSTEM,
    **more: object,
) -> Event:
    """Return an unsaved event about a deployment, caused by whatever unsettled it last."""
    more.setdefault("cause_id", deployment.cause_id)
    return Event(
        at=now,
        reason=reason,
        message=message,
        actor=actor,
        namespace=deployment.namespace_id,
        deployment=deployment.name,
        **more,
    )


def about_replica(
    replica: Replica, *, reason: str, message: str, now: datetime, **more: object
) -> Event:
    """Return an unsaved event about a replica, caused by the latest thing done to it."""
    more.setdefault("cause_id", replica.cause_id)
    more.setdefault("actor", f"node {replica.node_id}" if replica.node_id else SYSTEM)
    return Event(
        at=now,
        reason=reason,
        message=message,
        namespace=replica.deployment.namespace_id,
        deployment=replica.deployment.name,
        revision=replica.revision.number,
        replica=replica.uid,
        node=replica.node_id or "",
        **more,
    )


def about_node(node: str, *, reason: str, message: str, now: datetime, **more: object) -> Event:
    """Return an unsaved event about a node."""
    more.setdefault("actor", SYSTEM)
    return Event(at=now, reason=reason, message=message, node=node, **more)


def about_namespace(name: str, *, reason: str, message: str, now: datetime) -> Event:
    """Return an unsaved event about a namespace."""
    return Event(at=now, reason=reason, message=message, actor=SYSTEM, namespace=name)


def about_everything(*, reason: str, message: str, now: datetime) -> Event:
    """Return an unsaved event about no single thing."""
    return Event(at=now, reason=reason, message=message, actor=SYSTEM)


def done_by(change: Change, event: Event, act: Act, *, result: Result = Result.DONE) -> Event:
    """Return the unsaved event with who did it and what; only people's acts are for the audit."""
    event.actor, event.via = change.actor, change.via
    if change.actor != SYSTEM:
        event.verb, event.kind, event.name = act.verb, act.kind, act.name
        event.before, event.after = _clipped(act.before), _clipped(act.after)
        event.result = result
    return event


def record(change: Change, reason: str, message: str, act: Act) -> Event:
    """Append a person's act on something that is in no namespace, such as an account."""
    event = Event(at=change.now, reason=reason, message=message)
    done_by(change, event, act).save()
    return event


def following(event: Event, *, reason: str, message: str, now: datetime, **more: object) -> Event:
    """Return an unsaved event about the same subject, caused by an earlier one."""
    subject = ("actor", "via", "namespace", "deployment", "revision", "replica", "node")
    same = {name: getattr(event, name) for name in subject}
    return Event(at=now, reason=reason, message=message, cause=event, **{**same, **more})


def warning_if(condition: object) -> Severity:
    """Return the severity for something that is a warning under a condition."""
    return Severity.WARNING if condition else Severity.NORMAL


def _clipped(text: str) -> str:
    return text if len(text) <= 150 else f"{text[:149]}…"
