"""Move replicas off nodes they are to leave: a replacement serves first, then they stop.

A leaving replica is kept while it is needed, that is until as many others of its revision serve as
should. Replacements use the room of the update strategy (`replicas + max_surge`); a strategy
without room stops first, but never below `replicas - max_unavailable`. While a rollout is under way
nothing is moved besides, as the rollout replaces everything anyway. When the deadline of a drain
has passed, whatever is left on the node stops.

What keeps failing is kept as well, though it serves only now and then: until its successor serves
or fails as often, while there is room for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestrator.core import progress, rescheduling, scaling, victims
from orchestrator.core.classify import Census, Departure
from orchestrator.core.lifecycle import RolloutState
from orchestrator.core.plan import Reason, StopReplica
from orchestrator.core.rollout import floor_of
from orchestrator.core.sizing import Sizing
from orchestrator.core.snapshot import ReplicaView, Snapshot
from orchestrator.core.spec import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What one pass does about leaving replicas.

    `stops` are those that are missed no longer. `staying` says how many of the others each revision
    may keep, `starts` how many it may start, of which the last `replacements` are for leaving ones.
    `heirs` says by revision whom each start succeeds, where that matters to where it goes.
    """

    stops: tuple[StopReplica, ...]
    staying: Mapping[int, int]
    starts: Mapping[int, int]
    replacements: Mapping[int, int]
    heirs: Mapping[int, tuple[Departure | None, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """One revision: how many it should have, how many others stay, which leaving it keeps."""

    desired: int
    staying: int
    kept: tuple[ReplicaView, ...] = ()

    @property
    def gap(self) -> int:
        """Return how many are missing whatever becomes of those that leave."""
        return max(0, self.desired - self.staying - len(self.kept))

    @property
    def live(self) -> int:
        """Return how many there are once the gap is filled."""
        return self.staying + len(self.kept) + self.gap


def moves(snapshot: Snapshot, census: Census, sizing: Sizing) -> Moves:
    """Return which leaving replicas stop now, and how many of each revision may start."""
    calm = _is_calm(snapshot, census, sizing)
    groups = {
        number: _group(snapshot, census, number, desired, calm=calm)
        for number, desired in sizing.desired.items()
    }
    if calm:
        groups = _without_useless(snapshot, census, groups)
        groups = _stopping_first(snapshot, census, groups)
    replacements = _replacements(snapshot, groups) if calm else dict.fromkeys(groups, 0)
    return Moves(
        stops=_stops(snapshot, census, groups),
        staying={number: group.staying for number, group in groups.items()},
        starts={number: group.gap + replacements[number] for number, group in groups.items()},
        replacements=replacements,
        heirs={
            number: _heirs(census, number, group, replacements[number])
            for number, group in groups.items()
        },
    )


def _is_calm(snapshot: Snapshot, census: Census, sizing: Sizing) -> bool:
    """Tell whether no rollout is moving replicas of its own accord."""
    held = progress.is_held(sizing.view, snapshot.spec)
    complete = sizing.view.state is RolloutState.COMPLETE
    return held or complete or progress.is_complete(snapshot, census)


def _group(snapshot: Snapshot, census: Census, number: int, desired: int, *, calm: bool) -> _Group:
    leaving = [view for view in census.live[number] if view.uid in census.leaving]
    others = len(census.live[number]) - len(leaving)
    serving = sum(
        view.uid in census.available and view.uid not in census.leaving
        for view in census.live[number]
    )
    order = victims.choose(leaving, len(leaving), census=census, now=snapshot.now)
    wanted = [view for view in order if _is_wanted(view, snapshot, census, calm=calm)]
    needed = max(0, desired - serving)
    kept = tuple(wanted[max(0, len(wanted) - needed) :])
    most = desired if calm else desired - len(kept)
    return _Group(desired=desired, staying=min(others, most), kept=kept)


def _is_wanted(view: ReplicaView, snapshot: Snapshot, census: Census, *, calm: bool) -> bool:
    """Tell whether a leaving replica is of use, and its node may wait for it."""
    if _is_overdue(view, snapshot):
        return False
    if calm and census.leaving[view.uid].reason is Reason.RESCHEDULE:
        heirs = [other for other in census.live[view.revision] if other.replaces == view.uid]
        return not any(rescheduling.is_failing(heir, snapshot) for heir in heirs)
    return view.uid in census.available


def _is_overdue(view: ReplicaView, snapshot: Snapshot) -> bool:
    node = next(node for node in snapshot.nodes if node.name == view.node)
    return node.drain_until is not None and node.drain_until <= snapshot.now


def _without_useless(
    snapshot: Snapshot, census: Census, groups: Mapping[int, _Group]
) -> dict[int, _Group]:
    """Let go of one that keeps failing and does not serve, where its successor has no room."""
    if _room(snapshot, groups) > 0 or _is_anything_coming(census, groups):
        return dict(groups)
    for number, group in groups.items():
        useless = [view for view in group.kept if view.uid not in census.available]
        if useless and group.desired > group.staying + group.gap:
            kept = tuple(view for view in group.kept if view is not useless[0])
            return {**groups, number: replace(group, kept=kept)}
    return dict(groups)


def _is_anything_coming(census: Census, groups: Mapping[int, _Group]) -> bool:
    """Tell whether any of those that stay is still to serve; what is too many stops first."""
    steady = census.available.difference(census.leaving)
    return any(
        group.staying > sum(view.uid in steady for view in census.live[number])
        for number, group in groups.items()
    )


def _stopping_first(
    snapshot: Snapshot, census: Census, groups: Mapping[int, _Group]
) -> dict[int, _Group]:
    """Let go of leaving replicas that serve, where there is no room to start another first.

    One step at a time: while anything is still to come up, nothing more goes.
    """
    if _is_anything_coming(census, groups):
        return dict(groups)
    kept = {view.uid for group in groups.values() for view in group.kept}
    serving = len(census.available - (frozenset(census.leaving) - kept))
    recreates = snapshot.spec.policy.strategy is Strategy.RECREATE
    spare = serving - (0 if recreates else floor_of(snapshot.spec))
    room = _room(snapshot, groups)
    changed = dict(groups)
    for number, group in groups.items():
        unreplaced = group.desired - group.staying
        released = min(spare, len(group.kept), unreplaced) if room <= 0 else 0
        if released > 0:
            spare -= released
            changed[number] = replace(group, kept=group.kept[released:])
    return changed


def _replacements(snapshot: Snapshot, groups: Mapping[int, _Group]) -> dict[int, int]:
    """Return how many of each revision may start besides those that are kept."""
    room = _room(snapshot, groups)
    found = {}
    for number, group in groups.items():
        unreplaced = group.desired - group.staying - group.gap
        found[number] = max(0, min(unreplaced, room)) if group.kept else 0
        room -= found[number]
    return found


def _room(snapshot: Snapshot, groups: Mapping[int, _Group]) -> int:
    """Return how many more may exist once every gap is filled."""
    return scaling.most_at_once(snapshot.spec) - sum(group.live for group in groups.values())


def _heirs(
    census: Census, number: int, group: _Group, replacements: int
) -> tuple[Departure | None, ...]:
    """Return whom each start of a revision succeeds: first those to fill its gap, then the rest."""
    succeeded = {view.replaces for view in census.everyone_live}
    open_ = [
        census.leaving[view.uid]
        for view in census.live[number]
        if view.uid in census.leaving
        and view.uid not in succeeded
        and census.leaving[view.uid].reason is not Reason.DRAIN
    ]
    gone = [item for item in open_ if item.replica not in group.kept]
    kept = [item for item in open_ if item.replica in group.kept]
    filling = gone[: group.gap]
    besides = [*gone[group.gap :], *kept][:replacements]
    nobody = [None] * max(group.gap, replacements)
    return (
        *filling,
        *nobody[len(filling) : group.gap],
        *besides,
        *nobody[len(besides) : replacements],
    )


def _stops(
    snapshot: Snapshot, census: Census, groups: Mapping[int, _Group]
) -> tuple[StopReplica, ...]:
    return tuple(
        StopReplica(
            replica=view.uid,
            reason=census.leaving[view.uid].reason,
            message=f"{_why(census.leaving[view.uid])}; {_why_now(view, snapshot, census)}",
        )
        for number, group in groups.items()
        for view in census.live[number]
        if view.uid in census.leaving and view not in group.kept
    )


def _why(departure: Departure) -> str:
    if departure.reason is Reason.DRAIN:
        return departure.why
    return f"it moves away from {departure.replica.node} {departure.why}"


def _why_now(view: ReplicaView, snapshot: Snapshot, census: Census) -> str:
    if view.uid not in census.available:
        return "this replica does not serve, so it is not missed"
    if _is_overdue(view, snapshot):
        return "the time for it is over"
    return "this replica is needed there no longer"
