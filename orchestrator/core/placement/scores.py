"""Which of the nodes that fit is best: a rank in which smaller is better, compared part by part.

1. What the template would like: preferred affinity, soft spread, taints to rather avoid.
2. Few replicas of the same deployment, where one that failed there lately counts as two more.
3. Least allocated, by tenths; then the image already there; then by thousandths.
4. Few replicas at all, and at last the name.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.constraints import TaintEffect, matches
from orchestrator.core.snapshot import NodeView, RevisionView

Rank = tuple[int, int, int, bool, int, int, str]

AVOIDED_TAINT = 100
FAILURE = 2


def cost_of_node(node: NodeView, labels: Mapping[str, str], revision: RevisionView) -> int:
    """Return how far the node itself is from what the template would like, by its weights."""
    rules = revision.rules
    avoided = sum(
        taint.effect is TaintEffect.PREFER_NO_SCHEDULE and not rules.tolerate(taint)
        for taint in node.taints
    )
    liked = sum(term.weight for term in rules.node_preferred if matches(term.selector, labels))
    return AVOIDED_TAINT * avoided - liked


def rank(node: NodeView, revision: RevisionView, *, cost: int, own: int, allocated: int) -> Rank:
    """Return the rank; `own` are replicas of the deployment there, `allocated` thousandths."""
    return (
        cost,
        own + FAILURE * node.failures,
        allocated // 100,
        revision.image not in node.images,
        allocated,
        node.replicas,
        node.name,
    )
