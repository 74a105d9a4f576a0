"""Move replicas off nodes that are being drained: a replacement serves first, then they stop.

A leaving replica is kept while it is needed, that is until as many others of its revision serve as
should. Replacements use the room of the update strategy (`replicas + max_surge`); a strategy
without room stops first, but never below `replicas - max_unavailable`. While a rollout is under way
nothing is moved besides, as the rollout replaces everything anyway. When the deadline of the drain
has passed, whatever is left on the node stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestrator.core import progress, scaling, victims
from orchestrator.core.classify import Census
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
    may keep, `starts` how many it may start, of which `replacements` are for leaving ones.
    """

    stops: tuple[StopReplica, ...]
    staying: Mapping[int, int]
    starts: Mapping[int, int]
    replacements: Mapping[int, int]


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
        groups = _stopping_first(snapshot, census, groups)
    replacements = _replacements(snapshot, groups) if calm else dict.fromkeys(groups, 0)
    return Moves(
        stops=_stops(snapshot, census, groups),
        staying={number: group.staying for number, group in groups.items()},
        starts={number: group.gap + replacements[number] for number, group in groups.items()},
        replacements=replacements,
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
    wanted = [view for view in order if _is_wanted(view, snapshot, census)]
    needed = max(0, desired - serving)
    kept = tuple(wanted[max(0, len(wanted) - needed) :])
    most = desired if calm else desired - len(kept)
    return _Group(desired=desired, staying=min(others, most), kept=kept)


def _is_wanted(view: ReplicaView, snapshot: Snapshot, census: Census) -> bool:
    """Tell whether a leaving replica serves, and its node may wait for it."""
    node = next(node for node in snapshot.nodes if node.name == view.node)
    overdue = node.drain_until is not None and node.drain_until <= snapshot.now
    return view.uid in census.available and not overdue


def _stopping_first(
    snapshot: Snapshot, census: Census, groups: Mapping[int, _Group]
) -> dict[int, _Group]:
    """Let go of leaving replicas that serve, where there is no room to start another first.

    One step at a time: while anything is still to come up, nothing more goes.
    """
    if any(view.uid not in census.available | census.leaving for view in census.everyone_live):
        return dict(groups)
    kept = {view.uid for group in groups.values() for view in group.kept}
    serving = len(census.available - (census.leaving - kept))
    recreates = snapshot.spec.policy.strategy is Strategy.RECREATE
    spare = serving - (0 if recreates else floor_of(snapshot.spec))
    room = scaling.most_at_once(snapshot.spec) - sum(group.live for group in groups.values())
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
    room = scaling.most_at_once(snapshot.spec) - sum(group.live for group in groups.values())
    found = {}
    for number, group in groups.items():
        unreplaced = group.desired - group.staying - group.gap
        found[number] = max(0, min(unreplaced, room)) if group.kept else 0
        room -= found[number]
    return found


def _stops(
    snapshot: Snapshot, census: Census, groups: Mapping[int, _Group]
) -> tuple[StopReplica, ...]:
    return tuple(
        StopReplica(
            replica=view.uid,
            reason=Reason.DRAIN,
            message=f"node {view.node} is drained; {_why_now(view, snapshot, census)}",
        )
        for number, group in groups.items()
        for view in census.live[number]
        if view.uid in census.leaving and view not in group.kept
    )


def _why_now(view: ReplicaView, snapshot: Snapshot, census: Census) -> str:
    if view.uid not in census.available:
        return "this replica does not serve, so it is not missed"
    if not _is_wanted(view, snapshot, census):
        return "the time for it is over"
    return "this replica is needed there no longer"
