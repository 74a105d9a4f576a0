"""A decision as plain values, for rows and answers: everything it looked at and its arithmetic."""

from __future__ import annotations

from typing import Any

from orchestrator.core.autoscaling.decision import Average, Decision, Verdict
from orchestrator.core.autoscaling.sentences import amount, arithmetic, name_of, number, target

# Of more replicas than these the values are left out of the record; their sum is in it.
MOST_VALUES = 100


def detail(decision: Decision) -> dict[str, Any]:
    """Return the way from the observation to the number."""
    return {
        "minimum": decision.bounds.minimum,
        "maximum": decision.bounds.maximum,
        "windows": list(decision.bounds.windows),
        "metrics": [_verdict(verdict) for verdict in decision.verdicts],
        "leader": name_of(decision.leader) if decision.leader else None,
        "proposed": decision.proposed,
        "stabilised": decision.stabilised,
        "paced": decision.paced,
        "held_by": [str(word) for word in decision.held_by],
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    last = verdict.filled or verdict.measured
    return {
        "name": name_of(verdict.metric),
        "target": target(verdict.metric),
        "outcome": str(verdict.outcome),
        "proposal": verdict.proposal,
        "current": amount(verdict.metric, verdict.measured.value) if verdict.measured else None,
        "ratio": number(last.ratio) if last else None,
        "arithmetic": arithmetic(verdict),
        "measured": _average(verdict.measured),
        "filled": _average(verdict.filled),
        "used": dict(verdict.used[:MOST_VALUES]),
        "missing": list(verdict.missing),
        "unready": list(verdict.unready),
        "assumed_missing": verdict.assumed_missing,
        "assumed_unready": verdict.assumed_unready,
    }


def _average(average: Average | None) -> dict[str, Any] | None:
    if average is None:
        return None
    return {
        "total": average.total,
        "basis": average.basis,
        "replicas": average.replicas,
        "value": average.value,
        "ratio": f"{average.ratio.numerator}/{average.ratio.denominator}",
    }
