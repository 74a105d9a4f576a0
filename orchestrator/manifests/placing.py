"""Affinity, spread and tolerations of a pod template: the fields and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.constraints import (
    NodeTerm,
    PlacementRules,
    PodTerm,
    SpreadRule,
    Taint,
    TaintEffect,
    Toleration,
)
from orchestrator.manifests.fields import Choice, Many, Number, Struct, optional, required, silent
from orchestrator.manifests.labels import (
    KEY,
    LABEL,
    NODE_EXPRESSIONS,
    SELECTOR,
    requirements,
    selector_of,
)
from orchestrator.manifests.problems import Findings, Path

Json = Mapping[str, Any]

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

_NODE_TERM = Struct({"matchExpressions": required(NODE_EXPRESSIONS, "all of these must hold")})
_POD_TERM = Struct(
    {
        "labelSelector": required(SELECTOR, "which replicas of the namespace"),
        "topologyKey": required(KEY, "nodes with the same value of this label are near"),
    }
)
_WEIGHT = required(Number(1, 100), "how much it counts")
_PODS = Struct(
    {
        REQUIRED: optional(Many(_POD_TERM, most=16), "all of these must hold"),
        PREFERRED: optional(
            Many(
                Struct({"weight": _WEIGHT, "podAffinityTerm": required(_POD_TERM, "the wish")}),
                most=16,
            ),
            "wishes",
        ),
    }
)
AFFINITY = Struct(
    {
        "nodeAffinity": optional(
            Struct(
                {
                    REQUIRED: optional(
                        Struct(
                            {
                                "nodeSelectorTerms": required(
                                    Many(_NODE_TERM, least=1, most=16), "one of these must hold"
                                )
                            }
                        ),
                        "labels a node must have",
                    ),
                    PREFERRED: optional(
                        Many(
                            Struct(
                                {"weight": _WEIGHT, "preference": required(_NODE_TERM, "the wish")}
                            ),
                            most=16,
                        ),
                        "labels a node should have",
                    ),
                }
            ),
            "by labels of nodes",
        ),
        "podAffinity": optional(_PODS, "near other replicas"),
        "podAntiAffinity": optional(_PODS, "apart from other replicas; works both ways"),
    }
)
SPREAD = Struct(
    {
        "maxSkew": required(Number(1, 5000), "how much any two domains may differ"),
        "topologyKey": required(KEY, "nodes with the same value of this label are one domain"),
        "whenUnsatisfiable": required(
            Choice(("DoNotSchedule", "ScheduleAnyway")), "wait, or do as well as possible"
        ),
        "labelSelector": required(SELECTOR, "which replicas of the namespace are counted"),
        "nodeAffinityPolicy": silent("Honor"),
        "nodeTaintsPolicy": silent("Honor"),
    }
)


def _check_toleration(toleration: Json, path: Path, findings: Findings) -> None:
    exists = toleration["operator"] == "Exists"
    if exists and toleration.get("value"):
        findings.add((*path, "value"), "makes no sense with operator Exists; remove it")
    if not exists and not toleration.get("key"):
        findings.add((*path, "key"), "is required with operator Equal")


TOLERATION = Struct(
    {
        "key": optional(KEY, "key of the taint; none: every taint"),
        "operator": optional(Choice(("Equal", "Exists")), "this value, or any", "Equal"),
        "value": optional(LABEL, "value of the taint"),
        "effect": optional(
            Choice(("NoSchedule", "PreferNoSchedule", "NoExecute")), "none: every effect"
        ),
    },
    check=_check_toleration,
)


def _check_taint(taint: Json, path: Path, findings: Findings) -> None:
    if taint["effect"] == "NoExecute":
        told = "NoExecute is not supported: nothing running is ended for a taint; use NoSchedule"
        findings.add((*path, "effect"), told)


TAINT = Struct(
    {
        "key": required(KEY, "its key"),
        "value": optional(LABEL, "its value", ""),
        "effect": required(Choice((*TaintEffect, "NoExecute")), "what it does"),
    },
    check=_check_taint,
)


def rules_of(template: Json) -> PlacementRules:
    """Return what a completed pod template asks of the place where a replica runs."""
    pod = template["spec"]
    affinity = pod.get("affinity") or {}
    node = affinity.get("nodeAffinity") or {}
    near, apart = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    return PlacementRules(
        tolerations=tuple(_toleration(item) for item in pod.get("tolerations") or ()),
        node_required=tuple(
            NodeTerm(selector=requirements(term["matchExpressions"]))
            for term in (node.get(REQUIRED) or {}).get("nodeSelectorTerms") or ()
        ),
        node_preferred=tuple(
            NodeTerm(
                selector=requirements(item["preference"]["matchExpressions"]),
                weight=item["weight"],
            )
            for item in node.get(PREFERRED) or ()
        ),
        near_required=_required_terms(near),
        near_preferred=_preferred_terms(near),
        apart_required=_required_terms(apart),
        apart_preferred=_preferred_terms(apart),
        spread=tuple(_spread(item) for item in pod.get("topologySpreadConstraints") or ()),
    )


def taint_of(written: Json) -> Taint:
    """Return a completed taint."""
    return Taint(key=written["key"], value=written["value"], effect=TaintEffect(written["effect"]))


def _required_terms(written: Json) -> tuple[PodTerm, ...]:
    return tuple(_pod_term(item) for item in written.get(REQUIRED) or ())


def _preferred_terms(written: Json) -> tuple[PodTerm, ...]:
    return tuple(
        _pod_term(item["podAffinityTerm"], item["weight"]) for item in written.get(PREFERRED) or ()
    )


def _pod_term(written: Json, weight: int = 0) -> PodTerm:
    return PodTerm(
        selector=selector_of(written["labelSelector"]),
        topology_key=written["topologyKey"],
        weight=weight,
    )


def _spread(written: Json) -> SpreadRule:
    return SpreadRule(
        selector=selector_of(written["labelSelector"]),
        topology_key=written["topologyKey"],
        max_skew=written["maxSkew"],
        is_required=written["whenUnsatisfiable"] == "DoNotSchedule",
    )


def _toleration(written: Json) -> Toleration:
    exists = written["operator"] == "Exists"
    return Toleration(
        key=written.get("key") or "",
        value=None if exists else written.get("value") or "",
        effect=written.get("effect") or "",
    )
