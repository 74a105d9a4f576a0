"""What a node itself has against a replica, whoever else runs there.

Every filter is asked about every node, so that the explanation leaves nothing out. A new rule is
one more small function in `FILTERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.core.constraints import TaintEffect, matches, worded
from orchestrator.core.lifecycle import NodeState
from orchestrator.core.placement.objections import Effort, Objection, being, having
from orchestrator.core.snapshot import NodeView, RevisionView
from orchestrator.core.wording import join

NodeLabels = Mapping[str, str]
Filter = Callable[[NodeView, NodeLabels, RevisionView], Objection | None]


def _responds(node: NodeView, _: NodeLabels, __: RevisionView) -> Objection | None:
    if node.state is NodeState.READY:
        return None
    return being(
        node.state,
        remedy="if it responded",
        effort=Effort.REPAIR,
    )


def _is_open(node: NodeView, _: NodeLabels, __: RevisionView) -> Objection | None:
    if node.draining:
        return being(
            "being drained",
            remedy="if its drain was cancelled",
            effort=Effort.UNCORDON,
        )
    if not node.cordoned:
        return None
    return being(
        "cordoned",
        remedy="if it was uncordoned",
        effort=Effort.UNCORDON,
    )


def _has_labels(_: NodeView, labels: NodeLabels, revision: RevisionView) -> Objection | None:
    missing = [
        f"{key}={value}" for key, value in revision.node_selector if labels.get(key) != value
    ]
    if not missing:
        return None
    words = f"label{'s' if len(missing) > 1 else ''} {join(missing)}"
    return Objection(
        singular=f"lacks {words}",
        plural=f"lack {words}",
        remedy=f"if it had {words}",
        effort=Effort.RELABEL,
    )


def _matches_affinity(_: NodeView, labels: NodeLabels, revision: RevisionView) -> Objection | None:
    terms = revision.rules.node_required
    if not terms or any(matches(term.selector, labels) for term in terms):
        return None
    words = " or ".join(worded(term.selector) for term in terms)
    return Objection(
        singular=f"does not match the node affinity ({words})",
        plural=f"do not match the node affinity ({words})",
        remedy=f"if its labels matched {words}",
        effort=Effort.RELABEL,
    )


def _is_tolerated(node: NodeView, _: NodeLabels, revision: RevisionView) -> Objection | None:
    taints = [
        str(taint)
        for taint in node.taints
        if taint.effect is TaintEffect.NO_SCHEDULE and not revision.rules.tolerate(taint)
    ]
    if not taints:
        return None
    words = f"taint{'s' if len(taints) > 1 else ''} {join(taints)}"
    return having(
        f"the {words}, not tolerated",
        remedy=f"with a toleration for {join(taints)}",
        effort=Effort.TOLERATE,
    )


def _has_runtime(node: NodeView, _: NodeLabels, revision: RevisionView) -> Objection | None:
    wanted = revision.runtime_class
    if not wanted or wanted in node.runtimes:
        return None
    return having(
        f"no {wanted} runtime",
        remedy=f"if it had a {wanted} runtime",
        effort=Effort.INSTALL,
    )


FILTERS: tuple[Filter, ...] = (
    _responds,
    _is_open,
    _has_labels,
    _matches_affinity,
    _is_tolerated,
    _has_runtime,
)


def objections(node: NodeView, labels: NodeLabels, revision: RevisionView) -> tuple[Objection, ...]:
    """Return everything the node has against replicas of the revision."""
    found = (objects(node, labels, revision) for objects in FILTERS)
    return tuple(objection for objection in found if objection is not None)
