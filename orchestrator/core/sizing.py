"""Decide how many replicas each revision should have now, as far as one pass can go.

Steps are taken until nothing changes, with availability as observed: new replicas do not count
before their node says so. What is asked for is therefore safe to do at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.core import progress, rollout, scaling
from orchestrator.core.classify import Census
from orchestrator.core.plan import ScaleRevision
from orchestrator.core.rollout import Counts
from orchestrator.core.snapshot import RolloutView, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The wanted counts of all revisions, the changes among them, and what to remember."""

    desired: Mapping[int, int]
    changes: Mapping[int, ScaleRevision]
    view: RolloutView


def resize(snapshot: Snapshot, census: Census, view: RolloutView) -> Sizing:
    """Return how many replicas each revision should have now; `view` is the rollout as found."""
    counts = Counts(
        current=snapshot.current,
        desired={revision.number: revision.desired for revision in snapshot.revisions},
        available={number: census.available_of(number) for number in census.live},
    )
    steps: list[ScaleRevision] = []
    held = progress.is_held(view, snapshot.spec)
    rescaled = _rescale(snapshot, counts, view, held=held)
    steps += rescaled
    if not held:
        steps += _roll(snapshot, counts.after(rescaled))
    if not held or rescaled or scaling.is_due(counts, snapshot.spec, view):
        view = _recorded(snapshot, view)
    return _sized(counts, steps, view)


def _rescale(
    snapshot: Snapshot, counts: Counts, view: RolloutView, *, held: bool
) -> tuple[ScaleRevision, ...]:
    if scaling.is_due(counts, snapshot.spec, view):
        return scaling.shares(counts, snapshot.spec, view)
    if held and snapshot.spec.replicas and not counts.active:
        # Everything was scaled to zero. A revision that never ran stays unstarted while held.
        proven = [view.number for view in snapshot.revisions if view.completed]
        return (scaling.revive(proven[-1], snapshot.spec),) if proven else ()
    return ()


def _roll(snapshot: Snapshot, counts: Counts) -> Sequence[ScaleRevision]:
    # A replica without a node leaves nothing to wait for when it is stopped.
    old_are_gone = not any(
        replica.revision != snapshot.current and replica.node is not None
        for replica in snapshot.replicas
    )
    taken: list[ScaleRevision] = []
    while steps := rollout.next_steps(counts, snapshot.spec, old_are_gone=old_are_gone):
        counts = counts.after(steps)
        taken += steps
    return taken


def _recorded(snapshot: Snapshot, view: RolloutView) -> RolloutView:
    spec = snapshot.spec
    return replace(view, scaled_for=spec.replicas, scaled_max=scaling.most_at_once(spec))


def _sized(counts: Counts, steps: Sequence[ScaleRevision], view: RolloutView) -> Sizing:
    final = counts.after(steps)
    latest = {step.revision: step for step in steps}
    return Sizing(
        desired=final.desired,
        changes={
            revision: latest[revision]
            for revision, desired in final.desired.items()
            if desired != counts.desired[revision]
        },
        view=view,
    )
