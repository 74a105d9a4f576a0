"""Labels as Kubernetes has them, and requirements on labels: the fields and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.constraints import Operator, Requirement, Selector
from orchestrator.manifests.fields import (
    Choice,
    Many,
    Struct,
    Table,
    Text,
    optional,
    required,
)
from orchestrator.manifests.problems import Findings, Path, quoted

KEY = Text(
    r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?",
    "a key is a name of at most 63 letters, digits, '-', '_' or '.', with an optional prefix/",
    317,
)
LABEL = Text(
    r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?",
    "a label's value has at most 63 letters, digits, '-', '_' or '.'",
    63,
)
LABELS = Table(KEY, LABEL)

_SETS = (Operator.IN, Operator.NOT_IN)
_PRESENCE = (Operator.EXISTS, Operator.DOES_NOT_EXIST)
_NUMBERS = (Operator.GT, Operator.LT)


def _check_values(expression: Mapping[str, Any], path: Path, findings: Findings) -> None:
    operator, values = Operator(expression["operator"]), expression.get("values") or []
    place = (*path, "values")
    if operator in _SETS and not values:
        findings.add(place, f"is required with {operator}; give at least one value")
    elif operator in _PRESENCE and values:
        findings.add(place, f"makes no sense with {operator}; remove it")
    elif operator in _NUMBERS:
        digits = values[0].removeprefix("-") if len(values) == 1 else ""
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
            shown = ", ".join(map(quoted, values)) or "nothing"
            findings.add(place, f"must be one whole number in quotes with {operator}, not {shown}")


def _expression(operators: tuple[Operator, ...]) -> Struct:
    return Struct(
        {
            "key": required(KEY, "label"),
            "operator": required(Choice(operators), "how to compare"),
            "values": optional(Many(Text(longest=63)), "with what"),
        },
        check=_check_values,
    )


NODE_EXPRESSIONS = Many(_expression(tuple(Operator)), least=1, most=64)
SELECTOR = Struct(
    {
        "matchLabels": optional(LABELS, "labels a replica must have"),
        "matchExpressions": optional(
            Many(_expression((*_SETS, *_PRESENCE)), most=64), "comparisons it must meet"
        ),
    }
)


def requirements(expressions: object) -> Selector:
    """Return written `matchExpressions` as requirements."""
    written: Any = expressions or ()
    return tuple(
        Requirement(
            key=item["key"],
            operator=Operator(item["operator"]),
            values=tuple(item.get("values") or ()),
        )
        for item in written
    )


def selector_of(written: Mapping[str, Any]) -> Selector:
    """Return a written label selector as requirements; an empty one takes every replica."""
    labels = (written.get("matchLabels") or {}).items()
    exact = (
        Requirement(key=key, operator=Operator.IN, values=(value,)) for key, value in sorted(labels)
    )
    return (*exact, *requirements(written.get("matchExpressions")))
