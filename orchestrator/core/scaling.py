"""Share a changed number of replicas among revisions while a rollout is under way or held.

The arithmetic is Kubernetes' proportional scaling (`sync.go`). Sharing keeps the risk: a half
proven revision does not take all the new replicas. The result depends on the way there, because
shares are taken of the maximum in force when counts were scaled last.
"""

from __future__ import annotations

from orchestrator.core.plan import Reason, ScaleRevision
from orchestrator.core.rollout import Counts
from orchestrator.core.snapshot import RolloutView
from orchestrator.core.spec import DeploymentSpec, Strategy
from orchestrator.core.wording import count


def is_due(counts: Counts, spec: DeploymentSpec, rollout: RolloutView) -> bool:
    """Tell whether the wanted number has changed since active revisions were last scaled."""
    return bool(counts.active) and rollout.scaled_for != spec.replicas


def most_at_once(spec: DeploymentSpec) -> int:
    """Return how many replicas may exist at once; what shares are taken of."""
    surges = spec.policy.strategy is Strategy.ROLLING_UPDATE
    return spec.replicas + spec.policy.max_surge if surges else spec.replicas


def shares(counts: Counts, spec: DeploymentSpec, rollout: RolloutView) -> tuple[ScaleRevision, ...]:
    """Return the new counts of the active revisions.

    Kubernetes' rule for a saturated new revision has no counterpart: it needs the wanted number
    to be recorded on some revisions and not on others, and here one record serves all.
    """
    if len(counts.active) == 1:
        sizes = {counts.active[0]: spec.replicas}
    elif spec.policy.strategy is Strategy.ROLLING_UPDATE:
        sizes = _proportional(counts, spec, rollout.scaled_max or counts.total)
    else:
        return ()
    return tuple(
        _step(revision, size, counts, spec)
        for revision, size in sorted(sizes.items())
        if size != counts.desired[revision]
    )


def revive(revision: int, spec: DeploymentSpec) -> ScaleRevision:
    """Return the step that brings replicas of a proven revision back while a rollout is held."""
    message = (
        f"revision {revision} should now have {count(spec.replicas, 'replica')}: it is the latest "
        f"that completed, and the rollout to a newer one is held"
    )
    return ScaleRevision(
        revision=revision, desired=spec.replicas, reason=Reason.SCALE_UP, message=message
    )


def _proportional(counts: Counts, spec: DeploymentSpec, former_most: int) -> dict[int, int]:
    allowed = most_at_once(spec) if spec.replicas else 0
    to_add = allowed - counts.total
    age_first = 1 if to_add < 0 else -1
    order = sorted(counts.active, key=lambda number: (-counts.desired[number], age_first * number))
    sizes = dict.fromkeys(order, 0)
    left = to_add
    for revision in order:
        size = counts.desired[revision]
        fraction = _fraction(size, spec, former_most) if left else 0
        added = min(fraction, left) if to_add > 0 else max(fraction, left)
        sizes[revision] = size + added
        left -= added
    sizes[order[0]] = max(0, sizes[order[0]] + left)
    return sizes


def _fraction(size: int, spec: DeploymentSpec, former_most: int) -> int:
    if spec.replicas == 0:
        return -size
    # Half up in whole numbers: floor((2ab + c) / 2c) is ab/c rounded, without floating point.
    share = (2 * size * most_at_once(spec) + former_most) // (2 * former_most)
    return share - size


def _step(revision: int, size: int, counts: Counts, spec: DeploymentSpec) -> ScaleRevision:
    former = counts.desired[revision]
    others = len(counts.active) - 1
    why = f"{spec.replicas} in all are wanted now and it had {former}"
    if others:
        why += f", shared with {count(others, 'other revision')} in proportion"
    return ScaleRevision(
        revision=revision,
        desired=size,
        reason=Reason.SCALE_UP if size > former else Reason.SCALE_DOWN,
        message=f"revision {revision} should now have {count(size, 'replica')}: {why}",
    )
