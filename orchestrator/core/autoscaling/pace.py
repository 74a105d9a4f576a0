"""How soon and how fast a proposal is followed: stabilisation windows and policies of pace.

Invariants: the result lies between the present number and the proposal; a pace never pushes
against the direction that is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from orchestrator.core.autoscaling.observation import Observation, Recommendation, Resize
from orchestrator.core.autoscaling.policy import PacePolicy, Policy, PolicyKind, Rules, Select


def stabilise(policy: Policy, observation: Observation, proposed: int) -> int:
    """Return the number after the windows: up to the lowest, down to the highest of late."""
    now, known = observation.now, observation.recommendations
    up_to = min([proposed, *_since(known, now, policy.up.window_seconds)])
    down_to = max([proposed, *_since(known, now, policy.down.window_seconds)])
    return min(max(observation.current, up_to), down_to)


def highest_allowed(rules: Rules, observation: Observation) -> int:
    """Return how far up the policies let the number go now; never below the present one."""
    current = observation.current
    if rules.select is Select.DISABLED:
        return current
    allowed = [_above(policy, _began_with(policy, observation)) for policy in rules.policies]
    chosen = min(allowed) if rules.select is Select.MIN else max(allowed)
    return max(current, chosen)


def lowest_allowed(rules: Rules, observation: Observation) -> int:
    """Return how far down the policies let the number go now; never above the present one."""
    current = observation.current
    if rules.select is Select.DISABLED:
        return current
    allowed = [_below(policy, _began_with(policy, observation)) for policy in rules.policies]
    chosen = max(allowed) if rules.select is Select.MIN else min(allowed)
    return min(current, chosen)


def _since(known: Sequence[Recommendation], now: datetime, seconds: int) -> list[int]:
    cutoff = now - timedelta(seconds=seconds)
    return [one.replicas for one in known if one.at > cutoff]


def _began_with(policy: PacePolicy, observation: Observation) -> int:
    """Return how many replicas there were when the policy's period began."""
    cutoff = observation.now - timedelta(seconds=policy.period_seconds)
    return observation.current - sum(_changes(observation.resizes, cutoff))


def _changes(resizes: Sequence[Resize], cutoff: datetime) -> list[int]:
    return [resize.change for resize in resizes if resize.at > cutoff]


def _above(policy: PacePolicy, start: int) -> int:
    if policy.kind is PolicyKind.PODS:
        return start + policy.value
    # Rounded up, else a small number would never grow.
    return -(-start * (100 + policy.value) // 100)


def _below(policy: PacePolicy, start: int) -> int:
    if policy.kind is PolicyKind.PODS:
        return start - policy.value
    return start * (100 - policy.value) // 100
