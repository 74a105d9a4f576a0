"""Share a changed number of replicas among revisions in the middle of a rollout.

Source: Kubernetes `deployment/sync.go` (`scale`, `GetReplicaSetProportion`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.core.snapshot import RolloutView
from orchestrator.core.spec import DeploymentSpec, Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many replicas one revision should have, and how many of them are available."""

    revision: int
    desired: int
    available: int = 0
    current: bool = False


def needs_scaling(spec: DeploymentSpec, rollout: RolloutView, tallies: list[Tally]) -> bool:
    """Tell whether the wanted number changed since counts were last scaled."""
    active = any(tally.desired > 0 for tally in tallies)
    return active and rollout.scaled_for != spec.replicas


def rescale(spec: DeploymentSpec, rollout: RolloutView, tallies: list[Tally]) -> list[Tally]:
    """Return the tallies (oldest first) after a change of the wanted number."""
    active = [tally for tally in tallies if tally.desired > 0]
    if len(active) <= 1:
        return _scale_only(spec, tallies, active)
    newest = next((tally for tally in tallies if tally.current), None)
    if newest is not None and newest.desired == newest.available == spec.replicas:
        return [tally if tally.current else replace(tally, desired=0) for tally in tallies]
    if spec.policy.strategy is Strategy.RECREATE:
        return tallies
    return _share_out(spec, rollout, tallies, active)


def _scale_only(spec: DeploymentSpec, tallies: list[Tally], active: list[Tally]) -> list[Tally]:
    if not active:
        return tallies
    only = active[0].revision
    return [
        replace(tally, desired=spec.replicas) if tally.revision == only else tally
        for tally in tallies
    ]


def _share_out(
    spec: DeploymentSpec, rollout: RolloutView, tallies: list[Tally], active: list[Tally]
) -> list[Tally]:
    allowed = spec.replicas + spec.policy.max_surge if spec.replicas > 0 else 0
    to_add = allowed - sum(tally.desired for tally in active)
    newer_first = -1 if to_add > 0 else 1
    order = sorted(active, key=lambda tally: (-tally.desired, newer_first * tally.revision))
    sizes = {tally.revision: tally.desired for tally in tallies}
    left = to_add
    for tally in order:
        share = _share(tally.desired, allowed, rollout.scaled_max or allowed, left)
        sizes[tally.revision] += share
        left -= share
    first = order[0].revision
    sizes[first] = max(0, sizes[first] + left)
    return [replace(tally, desired=sizes[tally.revision]) for tally in tallies]


def _share(size: int, allowed: int, formerly: int, left: int) -> int:
    """Return a revision's part of the change, never more than what is left of it."""
    exact = size * allowed / formerly
    share = int(exact + 0.5) - size
    return min(share, left) if left > 0 else max(share, left)
