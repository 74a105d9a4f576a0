"""Read models to words, colours and shapes: pure functions, one verdict for each thing.

A tone is one of `ok`, `progress`, `warn`, `bad`, `idle`, `pause`, `person`; each has a colour, and
a shape of its own for whoever does not see the colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from orchestrator.core.lifecycle import NodeState, ReplicaPhase, RolloutState
from orchestrator.core.plan import DeploymentPhase
from orchestrator.core.rotation import Standing
from orchestrator.core.wording import ASLEEP
from orchestrator.queries.deployments import DeploymentRecord
from orchestrator.queries.events import SYSTEM, EventRecord
from orchestrator.queries.gateways import GatewayRecord
from orchestrator.queries.ingresses import IngressRecord
from orchestrator.queries.jobs import JobRecord
from orchestrator.queries.replicas import ReplicaRecord
from orchestrator.queries.services import EndpointRecord, ServiceRecord

MOST_SLOTS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a state is shown: its tone (colour and shape) and its words."""

    tone: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One wanted place in a deployment: who fills it; `kind` is a style, `words` its legend."""

    kind: str
    words: str


def of_deployment(record: DeploymentRecord) -> Look:  # noqa: PLR0911, one return per phase
    """Return the verdict on a deployment."""
    part = f"{record.available}/{record.desired}"
    if record.deleting:
        return Look(tone="idle", words=_("Deleting"))
    match DeploymentPhase(record.phase):
        case DeploymentPhase.AVAILABLE if record.desired == 0:
            return Look(tone="idle", words=_("Asleep") if record.is_asleep else _("Stopped"))
        case DeploymentPhase.AVAILABLE:
            return Look(tone="ok", words=_("Running %(part)s") % {"part": part})
        case DeploymentPhase.DEGRADED:
            return Look(tone="warn", words=_("Degraded %(part)s") % {"part": part})
        case DeploymentPhase.FAILED:
            return Look(tone="bad", words=_("Failed %(part)s") % {"part": part})
        case DeploymentPhase.PAUSED:
            return Look(tone="pause", words=_("Paused %(part)s") % {"part": part})
        case _ if record.rollout_state == RolloutState.COMPLETE:
            return Look(tone="progress", words=_("Scaling %(part)s") % {"part": part})
        case _:
            part = f"{min(record.updated, record.available)}/{record.desired}"
            return Look(tone="progress", words=_("Rolling out %(part)s") % {"part": part})


def of_phase(phase: str) -> Look:
    """Return how a deployment's phase alone is shown (filters)."""
    tones = {
        DeploymentPhase.AVAILABLE: ("ok", _("Running")),
        DeploymentPhase.PROGRESSING: ("progress", _("On the way")),
        DeploymentPhase.DEGRADED: ("warn", _("Degraded")),
        DeploymentPhase.FAILED: ("bad", _("Failed")),
        DeploymentPhase.PAUSED: ("pause", _("Paused")),
        DeploymentPhase.DELETING: ("idle", _("Deleting")),
    }
    tone, words = tones[DeploymentPhase(phase)]
    return Look(tone=tone, words=words)


def of_replica(record: ReplicaRecord) -> Look:  # noqa: C901, PLR0911, one return per phase
    """Return the verdict on a replica."""
    if record.next_try_at is not None and ReplicaPhase(record.phase).is_live:
        failing = _("Crash loop") if record.restarts else _("Cannot start")
        return Look(tone="bad", words=failing)
    match ReplicaPhase(record.phase):
        case ReplicaPhase.PENDING:
            return Look(tone="warn", words=_("Waits for a node"))
        case ReplicaPhase.ASSIGNED:
            return Look(tone="progress", words=_("Assigned"))
        case ReplicaPhase.PULLING:
            return Look(tone="progress", words=_("Pulling"))
        case ReplicaPhase.STARTING:
            return Look(tone="progress", words=_("Starting"))
        case ReplicaPhase.RUNNING if record.ready:
            return Look(tone="ok", words=_("Ready"))
        case ReplicaPhase.RUNNING:
            return Look(tone="progress", words=_("Not ready yet"))
        case ReplicaPhase.WITHDRAWN:
            return Look(tone="idle", words=_("Finishing requests"))
        case ReplicaPhase.STOPPING:
            return Look(tone="idle", words=_("Stopping"))
        case ReplicaPhase.LOST:
            return Look(tone="bad", words=_("Lost"))
        case _:
            return Look(tone="idle", words=_("Stopped"))


def of_service(record: ServiceRecord) -> Look:
    """Return the verdict on a service."""
    if record.serving:
        return Look(tone="ok", words=_("%(n)d in rotation") % {"n": record.serving})
    if record.message == ASLEEP:
        return Look(tone="idle", words=_("Asleep"))
    if record.endpoints:
        return Look(tone="bad", words=_("Nobody in rotation"))
    return Look(tone="warn", words=_("Selects nothing"))


def of_ingress(record: IngressRecord) -> Look:
    """Return the verdict on an ingress."""
    if record.held:
        return Look(tone="pause", words=_("Requests wait"))
    if record.unconfirmed:
        return Look(tone="progress", words=_("Catching up"))
    return Look(tone="ok", words=_("Open"))


def of_saved(action: str) -> Look:
    """Return what would be, or was, done to an object that is applied."""
    looks = {
        "created": Look(tone="ok", words=_("New")),
        "configured": Look(tone="progress", words=_("Changed")),
        "unchanged": Look(tone="idle", words=_("As it is")),
    }
    return looks[action]


def of_endpoint(record: EndpointRecord) -> Look:
    """Return where a replica stands with a service."""
    if record.standing == Standing.SERVING:
        return Look(tone="ok", words=_("In rotation"))
    if record.standing == Standing.DRAINING:
        return Look(tone="pause", words=_("Finishing requests"))
    return Look(tone="idle", words=_("Out of rotation"))


def of_gateway(record: GatewayRecord) -> Look:
    """Return the verdict on what routes on a node."""
    if record.node_state == NodeState.LOST:
        return Look(tone="bad", words=_("Lost"))
    if not record.ways:
        return Look(tone="idle", words=_("Routes nothing"))
    if record.behind:
        return Look(tone="bad", words=_("Behind"))
    if record.message:
        return Look(tone="warn", words=_("With a note"))
    if record.generation < record.latest_generation:
        return Look(tone="progress", words=_("Catching up"))
    return Look(tone="ok", words=_("Up to date"))


def of_job(record: JobRecord) -> Look:
    """Return the verdict on a job."""
    return of_job_state(record.state)


def of_job_state(state: str) -> Look:
    """Return how a job's state alone is shown (filters)."""
    tones = {
        "queued": ("progress", _("Queued")),
        "sent": ("progress", _("Sent")),
        "accepted": ("progress", _("Accepted")),
        "done": ("ok", _("Done")),
        "failed": ("bad", _("Failed")),
        "superseded": ("idle", _("Superseded")),
    }
    tone, words = tones[state]
    return Look(tone=tone, words=words)


def of_move(state: str) -> Look:
    """Return the look of a move of a rebalance."""
    looks = {
        "waiting": Look(tone="idle", words=_("waiting")),
        "moving": Look(tone="progress", words=_("moving")),
        "done": Look(tone="ok", words=_("moved")),
        "dropped": Look(tone="warn", words=_("dropped")),
        "cancelled": Look(tone="pause", words=_("cancelled")),
    }
    return looks.get(state, Look(tone="idle", words=_("proposed")))


def verb(name: str) -> str:
    """Return the word for what is done to a deployment or replica, by a person or a job."""
    return {
        "start": _("Start"),
        "stop": _("Stop"),
        "update": _("Update"),
        "retry": _("Try again"),
        "restart": _("Restart"),
        "pause": _("Pause"),
        "resume": _("Resume"),
        "delete": _("Delete"),
    }[name]


def of_event(record: EventRecord) -> Look:
    """Return how an event is marked: a warning, a person's act, or the system's."""
    if record.severity == "warning":
        return Look(tone="warn", words=_("Warning"))
    if record.actor != SYSTEM and not record.actor.startswith("node "):
        return Look(tone="person", words=_("By a person"))
    if record.reason in {"RolloutComplete", "Running", "Ready", "NodeReady", "NodeJoined"}:
        return Look(tone="ok", words=_("Done"))
    return Look(tone="idle", words=_("Noted"))


def folded(records: Iterable[EventRecord]) -> list[tuple[EventRecord, int]]:
    """Return events with repeats in a row folded into the latest of them, and how many it was."""
    found: list[tuple[EventRecord, int]] = []
    for record in records:
        if found and _same(found[-1][0], record):
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((record, 1))
    return found


def _same(one: EventRecord, other: EventRecord) -> bool:
    subject = (one.reason, one.namespace, one.deployment, one.node, one.actor)
    return subject == (other.reason, other.namespace, other.deployment, other.node, other.actor)


def is_rolling(record: DeploymentRecord) -> bool:
    """Tell whether a move to the current revision is under way, held or failed."""
    return record.rollout_state != RolloutState.COMPLETE and not record.deleting


def slots(record: DeploymentRecord, replicas: Sequence[ReplicaRecord]) -> list[Slot]:
    """Return who fills the wanted places, the new revision's first; squeezed to `MOST_SLOTS`."""
    ready, failing, coming = _("new and ready"), _("new and failing"), _("new and starting")
    if not is_rolling(record):
        ready, failing, coming = _("ready"), _("failing"), _("starting")
    live = [r for r in replicas if ReplicaPhase(r.phase).is_live]
    new = [r for r in live if r.revision == record.revision]
    old = [r for r in live if r.revision != record.revision]
    found = [Slot(kind="ready", words=ready) for r in new if r.ready]
    unplaced = sum(r.phase == ReplicaPhase.PENDING for r in new)
    bad = [r for r in new if not r.ready and of_replica(r).tone == "bad"]
    found += [Slot(kind="failing", words=failing)] * len(bad)
    others = sum(not r.ready for r in new) - len(bad) - unplaced
    found += [Slot(kind="coming", words=coming)] * others
    found += [Slot(kind="old", words=_("old revision"))] * len(old)
    found += [Slot(kind="missing", words=_("waiting for a node"))] * unplaced
    missing = record.desired - len(found)
    found += [Slot(kind="missing", words=_("not there yet"))] * missing
    return _squeeze(found)


def legend(found: Sequence[Slot]) -> str:
    """Return the slots in words, for whoever cannot see the bar."""
    counted: dict[str, int] = {}
    for slot in found:
        counted[slot.words] = counted.get(slot.words, 0) + 1
    return ", ".join(f"{number} {words}" for words, number in counted.items())


def _squeeze(found: list[Slot]) -> list[Slot]:
    """Return at most `MOST_SLOTS` slots in the same proportions; no kind is lost."""
    if len(found) <= MOST_SLOTS:
        return found
    kept: list[Slot] = []
    for kind in dict.fromkeys(slot.kind for slot in found):
        same = [slot for slot in found if slot.kind == kind]
        kept += same[: max(1, round(len(same) * MOST_SLOTS / len(found)))]
    return kept


def size(number: int) -> str:
    """Return bytes in a binary unit, small numbers of a large one with a decimal."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{_short(value)} {unit}"
        value /= 1024
    return f"{_short(value)} TiB"


def cores(millis: int) -> str:
    """Return cpu as a number of cores."""
    return f"{millis / 1000:.2f}".rstrip("0").rstrip(".")


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:.0f}"


def wait_of(job: JobRecord) -> float | None:
    """Return the seconds from asking to a node's acceptance."""
    return _between(job.created_at, job.accepted_at)


def work_of(job: JobRecord) -> float | None:
    """Return the seconds from acceptance to the end."""
    return _between(job.accepted_at, job.finished_at)


def _between(begin: datetime | None, end: datetime | None) -> float | None:
    if begin is None or end is None:
        return None
    return max(0.0, (end - begin).total_seconds())
