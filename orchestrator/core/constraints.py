"""What a pod template may ask of the place where a replica runs: Kubernetes' rules, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

Labels = tuple[tuple[str, str], ...]


class Operator(StrEnum):
    """How a requirement compares a label."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    LT = "Lt"


class TaintEffect(StrEnum):
    """What a taint does to replicas that do not tolerate it; nothing here ends a running one."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One comparison of one label. As in Kubernetes, a missing label is in no set of values."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def is_met_by(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels satisfy it."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value in self.values
            case Operator.NOT_IN:
                return value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
            case Operator.GT | Operator.LT:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        number = _integer(value)
        if number is None:
            return False
        bound = int(self.values[0])
        return number > bound if self.operator is Operator.GT else number < bound

    def __str__(self) -> str:
        words = ", ".join(self.values)
        match self.operator:
            case Operator.IN:
                return (
                    f"{self.key}={words}" if len(self.values) == 1 else f"{self.key} in ({words})"
                )
            case Operator.NOT_IN:
                return f"{self.key} not in ({words})"
            case Operator.EXISTS:
                return f"{self.key} present"
            case Operator.DOES_NOT_EXIST:
                return f"{self.key} absent"
            case Operator.GT:
                return f"{self.key}>{words}"
            case Operator.LT:
                return f"{self.key}<{words}"


def _integer(text: str | None) -> int | None:
    sign = (text or "").removeprefix("-")
    return int(text or "") if sign.isascii() and sign.isdecimal() and len(sign) < 19 else None


Selector = tuple[Requirement, ...]


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Tell whether labels meet every requirement; an empty selector takes everything."""
    return all(requirement.is_met_by(labels) for requirement in selector)


def worded(selector: Selector) -> str:
    """Return a selector in words."""
    return " and ".join(map(str, selector)) or "any labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """A mark of a node that keeps replicas away which do not tolerate it."""

    key: str
    value: str = ""
    effect: TaintEffect

    def __str__(self) -> str:
        return (
            f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """Which taints a replica puts up with; an empty key or effect means every one.

    `value` None means every value (operator `Exists`).
    """

    key: str = ""
    value: str | None = None
    effect: str = ""

    def covers(self, taint: Taint) -> bool:
        """Tell whether the taint is tolerated."""
        return (
            (not self.key or self.key == taint.key)
            and (self.value is None or self.value == taint.value)
            and (not self.effect or self.effect == taint.effect)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTerm:
    """Labels a node must (or, with a weight, should) have."""

    selector: Selector
    weight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTerm:
    """Replicas of the namespace to be near to or apart from.

    Near means: on nodes with the same value of the label `topology_key`. The weight is 0 when the
    term is required.
    """

    selector: Selector
    topology_key: str
    weight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadRule:
    """Keep the numbers of matching replicas in any two domains within `max_skew` of each other."""

    selector: Selector
    topology_key: str
    max_skew: int
    is_required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementRules:
    """The affinity, tolerations and spread of a pod template; of `node_required` one must hold."""

    tolerations: tuple[Toleration, ...] = ()
    node_required: tuple[NodeTerm, ...] = ()
    node_preferred: tuple[NodeTerm, ...] = ()
    near_required: tuple[PodTerm, ...] = ()
    near_preferred: tuple[PodTerm, ...] = ()
    apart_required: tuple[PodTerm, ...] = ()
    apart_preferred: tuple[PodTerm, ...] = ()
    spread: tuple[SpreadRule, ...] = ()

    @property
    def look_at_replicas(self) -> bool:
        """Tell whether the answer depends on who runs where."""
        return bool(
            self.near_required
            or self.near_preferred
            or self.apart_required
            or self.apart_preferred
            or self.spread
        )

    def tolerate(self, taint: Taint) -> bool:
        """Tell whether a taint is put up with."""
        return any(toleration.covers(taint) for toleration in self.tolerations)


NO_RULES = PlacementRules()
