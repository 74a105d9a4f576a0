"""Nodes to words, colours, shapes and bars: pure functions over their read models."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from orchestrator.core.lifecycle import NodeState
from orchestrator.queries.nodes import NodeRecord
from webui import presenters
from webui.presenters import Look

NAMED_NODES = 8
CROWD = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The nodes in one condition; `key` names it in addresses of elements."""

    key: str
    look: Look
    nodes: tuple[NodeRecord, ...]

    @property
    def is_crowd(self) -> bool:
        """Tell whether there are so many that each gets one short line."""
        return len(self.nodes) > CROWD


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """How much of something a node has given away, and how much is used (None: not measured).

    Percents are at most 100, words are exact.
    """

    what: str
    words: str
    percent: int
    tone: str
    used: str = ""
    used_percent: int | None = None


def of_node(record: NodeRecord) -> Look:
    """Return the verdict on a node."""
    return _looks()[_condition(record)]


def by_condition(records: Iterable[NodeRecord]) -> list[Group]:
    """Return the nodes in groups of one condition, what is broken first."""
    looks = _looks()
    found: dict[str, list[NodeRecord]] = {key: [] for key in looks}
    for record in records:
        found[_condition(record)].append(record)
    return [
        Group(key=key, look=looks[key], nodes=tuple(nodes)) for key, nodes in found.items() if nodes
    ]


def doubted(records: Iterable[NodeRecord]) -> str:
    """Return the names of the nodes that fell silent when most did; empty when none is in doubt."""
    names = [record.name for record in records if record.doubted]
    if len(names) <= NAMED_NODES:
        return ", ".join(names)
    rest = _("%(n)d more") % {"n": len(names) - NAMED_NODES}
    return ", ".join([*names[:NAMED_NODES], rest])


def gauges(record: NodeRecord) -> list[Gauge]:
    """Return what is reserved and used of the cpu and the memory a node has told of."""
    millis, size = record.cpu_millis_reserved, record.memory_bytes_reserved
    cpu = _("%(part)s of %(whole)s cores") % {
        "part": presenters.cores(millis),
        "whole": presenters.cores(record.cpu_millis),
    }
    memory = _("%(part)s of %(whole)s") % {
        "part": presenters.size(size),
        "whole": presenters.size(record.memory_bytes),
    }
    reserved = (
        _gauge(_("CPU"), cpu, millis, record.cpu_millis),
        _gauge(_("Memory"), memory, size, record.memory_bytes),
    )
    used = (
        _used(record.cpu_millis_used, record.cpu_millis, _in_cores),
        _used(record.memory_bytes_used, record.memory_bytes, presenters.size),
    )
    return [
        replace(gauge, used=words, used_percent=percent)
        for gauge, (words, percent) in zip(reserved, used, strict=True)
    ]


def _condition(record: NodeRecord) -> str:
    if record.state != NodeState.READY:
        return record.state
    if record.draining:
        return "empty" if record.drained_at else "draining"
    if record.cordoned:
        return "cordoned"
    return "noted" if record.notes or record.refusal else "ready"


def _looks() -> dict[str, Look]:
    """Return how each condition is shown, what needs somebody first."""
    return {
        "lost": Look(tone="bad", words=_("Lost")),
        "suspect": Look(tone="warn", words=_("Suspect")),
        "noted": Look(tone="warn", words=_("Ready, with a note")),
        "draining": Look(tone="progress", words=_("Draining")),
        "empty": Look(tone="pause", words=_("Empty")),
        "cordoned": Look(tone="pause", words=_("Cordoned")),
        "ready": Look(tone="ok", words=_("Ready")),
    }


def _in_cores(millis: int) -> str:
    number = presenters.cores(millis)
    return _("1 core") if number == "1" else _("%(n)s cores") % {"n": number}


def _used(part: int | None, whole: int, worded: Callable[[int], str]) -> tuple[str, int | None]:
    if part is None or not whole:
        return "", None
    return _("%(part)s used") % {"part": worded(part)}, min(100, round(100 * part / whole))


def _gauge(what: str, amounts: str, part: int, whole: int) -> Gauge:
    if not whole:
        return Gauge(what=what, words=_("the node tells no capacity"), percent=0, tone="idle")
    percent = round(100 * part / whole)
    words = _("%(amounts)s, %(percent)d %%") % {"amounts": amounts, "percent": percent}
    tone = "warn" if part > whole else "progress"
    return Gauge(what=what, words=words, percent=min(100, percent), tone=tone)
