"""Say why no node takes a replica: every reason of every node, and the nearest way out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.placement.objections import Objection
from orchestrator.core.wording import count, join

NAMED_NODES = 3
MAX_SENTENCE = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeExplanation:
    """What one node has against a replica; nothing, when it would take it."""

    node: str
    objections: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A sentence, all nodes with all their objections, and the nearest fix (empty: none)."""

    message: str
    nodes: tuple[NodeExplanation, ...] = ()
    fix: str = ""


def explain(objections: Mapping[str, Sequence[Objection]]) -> Explanation:
    """Return the explanation for the objections of all nodes."""
    nodes = tuple(
        NodeExplanation(node=name, objections=tuple(objection.singular for objection in found))
        for name, found in objections.items()
    )
    free = [node.node for node in nodes if not node.objections]
    if free:
        return Explanation(message=f"it fits on {join(free[:NAMED_NODES])} now", nodes=nodes)
    if not nodes:
        return Explanation(message="no node fits: none has joined yet")
    fix = _nearest_fix(objections)
    if len(nodes) <= NAMED_NODES:
        parts = [f"{node.node} {join(node.objections)}" for node in nodes]
    else:
        parts = _grouped(objections)
    body = _shortened(f"no node fits: {'; '.join(parts)}", MAX_SENTENCE - len(fix) - 5)
    return Explanation(message=f"{body}; it {fix}", nodes=nodes, fix=fix)


def _nearest_fix(objections: Mapping[str, Sequence[Objection]]) -> str:
    """Return what would help on the node that lacks least: few, easy and small objections."""

    def distance(name: str) -> tuple[int, int, float, str]:
        found = objections[name]
        lacking = sum(objection.lacking for objection in found)
        return len(found), sum(objection.effort for objection in found), lacking, name

    nearest = min(objections, key=distance)
    remedies = join([objection.remedy for objection in objections[nearest]])
    return _shortened(f"would fit on {nearest} {remedies}", MAX_SENTENCE // 2)


def _grouped(objections: Mapping[str, Sequence[Objection]]) -> list[str]:
    alike: dict[str, list[Objection]] = defaultdict(list)
    for found in objections.values():
        for objection in found:
            alike[objection.plural].append(objection)
    ordered = sorted(alike.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        f"{count(len(found), 'node')} {found[0].singular if len(found) == 1 else plural}"
        for plural, found in ordered
    ]


def _shortened(sentence: str, longest: int) -> str:
    return sentence if len(sentence) <= longest else f"{sentence[: longest - 1]}…"
