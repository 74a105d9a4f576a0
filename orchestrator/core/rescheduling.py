"""Decide which replicas that keep failing move to another node, and which of them have to stay.

One moves when its revision has shown that it can run, when it was not moved lately, and when
another node takes it on which none of its revision keeps failing. So what fails everywhere stays
where it is, and a rollout to a revision that never serves is left to the rollout's own rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from orchestrator.core.classify import Census, Departure
from orchestrator.core.lifecycle import NodeState
from orchestrator.core.placement.objections import Effort, Objection
from orchestrator.core.placement.placer import Placer
from orchestrator.core.plan import Reason
from orchestrator.core.snapshot import ReplicaView, RevisionView, Snapshot
from orchestrator.core.spec import ReschedulePolicy
from orchestrator.core.wording import count, duration

KEPT = 20


def noted(
    known: Sequence[datetime], *, number: int, since: datetime, now: datetime
) -> tuple[datetime, ...]:
    """Return the failures of a replica with so many new ones, the latest of them now.

    Several at once were told late (the way here was closed, say): they count as spread evenly over
    the time since the one before.
    """
    since = min(since, now)
    fresh = [now - (now - since) * earlier / number for earlier in reversed(range(number))]
    return tuple([*known, *fresh][-KEPT:])


def is_failing(view: ReplicaView, snapshot: Snapshot) -> bool:
    """Tell whether a replica has failed so often lately that it would be better off elsewhere."""
    policy = snapshot.rescheduling
    return 0 < policy.failures <= len(recent(view, snapshot))


def with_failing(snapshot: Snapshot, census: Census) -> Census:
    """Return the census with the replicas that leave because they keep failing, or would."""
    failing = [view for view in census.everyone_live if is_failing(view, snapshot)]
    concerned = [view for view in failing if _may_be_moved(view, snapshot, census)]
    if not concerned:
        return census
    found = _Search(snapshot, census, failing)
    for view in concerned:
        found.consider(view)
    return replace(census, leaving={**census.leaving, **found.leaving}, stuck=found.stuck)


def next_move(view: ReplicaView, policy: ReschedulePolicy) -> datetime:
    """Return before when a replica is not moved again."""
    return view.created_at + policy.stay(view.moves)


def recent(view: ReplicaView, snapshot: Snapshot) -> list[datetime]:
    """Return the failures of a replica that count."""
    since = snapshot.now - snapshot.rescheduling.within
    return [at for at in view.failures if at > since]


def _may_be_moved(view: ReplicaView, snapshot: Snapshot, census: Census) -> bool:
    lost = {node.name for node in snapshot.nodes if node.state is NodeState.LOST}
    if view.uid in census.leaving or view.node is None or view.node in lost:
        return False
    (revision,) = [item for item in snapshot.revisions if item.number == view.revision]
    return revision.completed or any(
        other.uid in census.available and other.node != view.node and not recent(other, snapshot)
        for other in census.live[view.revision]
    )


class _Search:
    """Looks for another node for one failing replica after the other."""

    def __init__(self, snapshot: Snapshot, census: Census, failing: Sequence[ReplicaView]) -> None:
        self.leaving: dict[str, Departure] = {}
        self.stuck: dict[str, str] = {}
        self._snapshot = snapshot
        self._failing = failing
        self._revisions = {view.number: view for view in snapshot.revisions}
        self._succeeded = {view.replaces for view in census.everyone_live}
        self._placer = Placer(snapshot)

    def consider(self, view: ReplicaView) -> None:
        """Have the replica leave if another node takes it; else say why it stays."""
        snapshot, policy = self._snapshot, self._snapshot.rescheduling
        often = f"{count(policy.failures, 'failure')} in {duration(policy.within)}"
        against = self._against(view, often)
        again = next_move(view, policy)
        if view.uid not in self._succeeded:
            if again > snapshot.now:
                self.stuck[view.uid] = (
                    f"it keeps failing on {view.node} as well ({often}); it was moved before and "
                    f"moves again after {again:%H:%M} UTC at the earliest"
                )
                return
            revision = self._revisions[view.revision]
            if self._placer.place(revision, away_from=frozenset(against)) is None:
                self.stuck[view.uid] = self._why_it_stays(view, revision, against, often)
                return
        self.leaving[view.uid] = Departure(
            replica=view,
            reason=Reason.RESCHEDULE,
            why=f"after {often}",
            away_from=frozenset(against),
            moves=_moves_after(view, snapshot),
        )

    def _against(self, view: ReplicaView, often: str) -> dict[str, Objection]:
        """Return the nodes on which a replica of the revision keeps failing."""
        nodes = {
            str(other.node)
            for other in self._failing
            if other.revision == view.revision and other.node is not None
        }
        return {name: _failing_there(often) for name in sorted(nodes)}

    def _why_it_stays(
        self,
        view: ReplicaView,
        revision: RevisionView,
        against: Mapping[str, Objection],
        often: str,
    ) -> str:
        why = self._placer.explain(revision, against).message
        return f"it keeps failing on {view.node} ({often}) and stays there: {why}"


def _failing_there(often: str) -> Objection:
    return Objection(
        singular=f"had a replica of this revision fail ({often})",
        plural=f"had replicas of this revision fail ({often})",
        remedy="once it runs there",
        effort=Effort.REPAIR,
    )


def _moves_after(view: ReplicaView, snapshot: Snapshot) -> int:
    """Return how often in a row it will have been moved; one that ran well for long begins anew."""
    policy = snapshot.rescheduling
    lasted = snapshot.now - view.created_at
    return 1 if lasted >= 2 * policy.stay(view.moves) else view.moves + 1
