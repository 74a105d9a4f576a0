"""Number templates: a changed template becomes a new revision, an equal one takes over replicas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orchestrator.core.lifecycle import LIVE_PHASES, RolloutState
from orchestrator.manifests import deployment as manifests
from orchestrator.manifests import placing
from orchestrator.models import Deployment, Replica, Revision, RevisionLabel
from orchestrator.operations.events import Change

CHANGE_CAUSES = ("kijabi.dev/change-cause", "kubernetes.io/change-cause")


class RevisionNotFound(LookupError):
    """There is no such revision, or none to go back to."""


def rollback_target(deployment: Deployment, number: int | None) -> Revision:
    """Return the revision to go back to: the numbered one, or the latest completed before this.

    Raises:
        RevisionNotFound: there is none, or it is the current one.
    """
    others = deployment.revisions.exclude(number=deployment.revision)
    if number is not None:
        found = others.filter(number=number).first()
        if found is None:
            known = ", ".join(str(n) for n in others.values_list("number", flat=True)) or "none"
            raise RevisionNotFound(
                f"{deployment} has no other revision {number} (there are: {known})"
            )
        return found
    completed = others.filter(number__lt=deployment.revision).exclude(completed_at=None)
    latest = completed.order_by("-number").first()
    if latest is None:
        raise RevisionNotFound(f"{deployment} has no earlier revision that ever completed")
    return latest


def adopt_template(
    deployment: Deployment, full: dict[str, Any], change: Change, *, is_rollback: bool
) -> Revision | None:
    """Make the manifest's template the current revision; None when it already is.

    Replicas of an earlier revision with the same rollout hash become the new revision's: only
    limits may differ, and those are changed in place. The caller saves the deployment.
    """
    template = manifests.template_of(full)
    known = {row.number: row for row in deployment.revisions.all()}
    current = known.get(deployment.revision)
    if current is not None and current.template == template:
        return None
    revision = Revision.objects.create(
        deployment=deployment,
        number=max(known, default=0) + 1,
        template=template,
        rollout_hash=manifests.rollout_hash(template),
        repels=bool(placing.rules_of(template).apart_required),
        author=change.actor,
        reason=change.reason or _stated_cause(full),
        is_rollback=is_rollback,
        created_at=change.now,
    )
    RevisionLabel.objects.bulk_create(
        RevisionLabel(revision=revision, pair=f"{key}={value}")
        for key, value in manifests.labels_of(template)
    )
    _take_over(revision, known.values())
    deployment.revision = revision.number
    deployment.rollout_state = RolloutState.PROGRESSING
    deployment.progressed_at = change.now
    return revision


def _take_over(revision: Revision, earlier: Iterable[Revision]) -> None:
    twins = [row for row in earlier if row.rollout_hash == revision.rollout_hash and row.desired]
    for twin in twins:
        live = Replica.objects.filter(revision=twin, phase__in=LIVE_PHASES)
        live.update(revision=revision, update_failed=False)
        revision.desired += twin.desired
        twin.desired = 0
        twin.save(update_fields=["desired"])
    if twins:
        revision.save(update_fields=["desired"])


def _stated_cause(full: dict[str, Any]) -> str:
    annotations = full["metadata"].get("annotations") or {}
    return next((annotations[key] for key in CHANGE_CAUSES if key in annotations), "")
