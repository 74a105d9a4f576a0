"""Say what a rollout waits for, what comes next and when it gives up, from what is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.core.lifecycle import RolloutState
from orchestrator.core.spec import DeploymentSpec, OnFailure, Strategy
from orchestrator.queries.deployments import DeploymentRecord
from orchestrator.queries.replicas import ReplicaRecord


def next_steps(
    record: DeploymentRecord, replicas: Sequence[ReplicaRecord], *, may_go_back: bool
) -> dict[str, Any]:
    """Return the facts of the rollout card: `pace`, `then` and `gives_up_at` (or None).

    `may_go_back` tells whether an earlier revision has worked.
    """
    old = sum(row.revision != record.revision for row in replicas)
    return {
        "pace": _pace(record.intent),
        "then": _then(record, old),
        "gives_up_at": _gives_up_at(record),
        "afterwards": _afterwards(record.intent.on_failure, may_go_back=may_go_back),
    }


def _pace(intent: DeploymentSpec) -> str:
    if intent.policy.strategy is Strategy.RECREATE:
        return _("all old replicas stop before the first new one starts")
    words = _("at most %(down)d down and %(extra)d extra at once") % {
        "down": intent.policy.max_unavailable,
        "extra": intent.policy.max_surge,
    }
    if intent.min_ready_seconds:
        words += _(", ready for %(n)d s before it counts") % {"n": intent.min_ready_seconds}
    return words


def _then(record: DeploymentRecord, old: int) -> str:
    if record.paused:
        return _("Nothing moves until it is resumed.")
    if record.rollout_state == RolloutState.DEADLINE_EXCEEDED:
        return _("It is held until somebody changes it, rolls back or resumes it.")
    missing = record.desired - min(record.updated, record.available)
    parts = []
    if missing > 0:
        parts.append(
            ngettext(
                "%(n)d more replica has to become available",
                "%(n)d more replicas have to become available",
                missing,
            )
            % {"n": missing}
        )
    if old:
        parts.append(
            ngettext("%(n)d old replica is retired", "%(n)d old replicas are retired", old)
            % {"n": old}
        )
    return _("Next: ") + _(", then ").join(parts) if parts else ""


def _gives_up_at(record: DeploymentRecord) -> datetime | None:
    if record.rollout_state != RolloutState.PROGRESSING or record.paused:
        return None
    return record.progressed_at + timedelta(seconds=record.intent.progress_deadline_seconds)


def _afterwards(choice: OnFailure, *, may_go_back: bool) -> str:
    if choice is OnFailure.ROLLBACK and not may_go_back:
        return _("it is then held as it stands, as no earlier revision has worked")
    return {
        OnFailure.ROLLBACK: _("it then goes back to the latest revision that worked"),
        OnFailure.PAUSE: _("it is then held as it stands"),
        OnFailure.NONE: _("it then tries on"),
    }[choice]
