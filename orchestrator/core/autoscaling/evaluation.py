"""One evaluation of an autoscaler: Kubernetes' order of questions, answered by the files below.

Invariants: the result lies within the bounds, except that 0 replicas stay 0; more load never
gives fewer replicas; the same observation gives the same decision.
"""

from __future__ import annotations

from datetime import datetime

from orchestrator.core.autoscaling import pace
from orchestrator.core.autoscaling.decision import Bounds, Decision, Verdict, Word
from orchestrator.core.autoscaling.observation import Observation
from orchestrator.core.autoscaling.policy import Policy
from orchestrator.core.autoscaling.proposal import propose


def evaluate(policy: Policy, observation: Observation) -> Decision:
    """Return how many replicas there should be now, with the whole way there."""
    bounds = bounds_at(policy, observation.now)
    current = observation.current
    if current == 0:
        return _decided(observation, bounds, desired=0, word=Word.DISABLED)
    if current > bounds.maximum:
        return _decided(observation, bounds, desired=bounds.maximum, word=Word.ABOVE_MAXIMUM)
    if current < bounds.minimum:
        return _decided(observation, bounds, desired=bounds.minimum, word=Word.BELOW_MINIMUM)
    verdicts = tuple(propose(policy, metric, observation) for metric in policy.metrics)
    leader = _leader(verdicts, current)
    if leader is None:
        return _decided(
            observation, bounds, desired=current, word=Word.NO_METRICS, verdicts=verdicts
        )
    return _followed(policy, observation, bounds, verdicts, leader)


def bounds_at(policy: Policy, now: datetime) -> Bounds:
    """Return the bounds in force: the policy's, changed by each open window in turn.

    Where a minimum and a maximum of different windows cross, the minimum counts: what has to be
    served comes before what it may cost.
    """
    least, most = policy.minimum, policy.maximum
    is_open = [window for window in policy.schedule if window.is_open(now)]
    for window in is_open:
        least = least if window.minimum is None else window.minimum
        most = most if window.maximum is None else window.maximum
    return Bounds(minimum=least, maximum=max(least, most), windows=tuple(w.text for w in is_open))


def without_target(now: datetime, policy: Policy) -> Decision:
    """Return the decision about a deployment that does not exist (yet, or any more)."""
    return Decision(
        now=now, current=0, bounds=bounds_at(policy, now), desired=0, word=Word.NO_TARGET
    )


def _decided(
    observation: Observation,
    bounds: Bounds,
    *,
    desired: int,
    word: Word,
    verdicts: tuple[Verdict, ...] = (),
) -> Decision:
    return Decision(
        now=observation.now,
        current=observation.current,
        bounds=bounds,
        desired=desired,
        word=word,
        verdicts=verdicts,
    )


def _leader(verdicts: tuple[Verdict, ...], current: int) -> Verdict | None:
    """Return the metric that calls for most; none while one is silent and the others say down."""
    speaking = [verdict for verdict in verdicts if verdict.proposal is not None]
    highest = max(speaking, key=lambda verdict: verdict.proposal or 0, default=None)
    if highest is None:
        return None
    shrinks = (highest.proposal or 0) < current
    return None if shrinks and len(speaking) < len(verdicts) else highest


def _followed(
    policy: Policy,
    observation: Observation,
    bounds: Bounds,
    verdicts: tuple[Verdict, ...],
    leader: Verdict,
) -> Decision:
    """Take the proposal through windows, pace, bounds, and the rollout's freeze."""
    current, proposed = observation.current, leader.proposal or 0
    held: list[Word] = []
    stabilised = pace.stabilise(policy, observation, proposed)
    if stabilised != proposed:
        held.append(Word.UP_STABILISED if proposed >= current else Word.DOWN_STABILISED)
    paced, limit = _limited(policy, observation, bounds, stabilised)
    if limit is not None:
        held.append(limit)
    frozen = observation.rolling_out and paced < current
    if frozen:
        held.append(Word.ROLLING_OUT)
    desired = current if frozen else paced
    return Decision(
        now=observation.now,
        current=current,
        bounds=bounds,
        desired=desired,
        word=_word(current, desired, held),
        verdicts=verdicts,
        proposed=proposed,
        leader=leader.metric,
        stabilised=stabilised,
        paced=paced,
        held_by=tuple(held),
    )


def _limited(
    policy: Policy, observation: Observation, bounds: Bounds, wanted: int
) -> tuple[int, Word | None]:
    """Return the number after pace and bounds, and the rule that changed it."""
    current = observation.current
    if wanted > current:
        highest = pace.highest_allowed(policy.up, observation)
        if wanted > min(highest, bounds.maximum):
            by_pace = highest < bounds.maximum
            word = Word.UP_LIMITED if by_pace else Word.TOO_MANY
            return min(highest, bounds.maximum), word
    elif wanted < current:
        lowest = pace.lowest_allowed(policy.down, observation)
        if wanted < max(lowest, bounds.minimum):
            by_pace = lowest > bounds.minimum
            word = Word.DOWN_LIMITED if by_pace else Word.TOO_FEW
            return max(lowest, bounds.minimum), word
    return wanted, None


def _word(current: int, desired: int, held: list[Word]) -> Word:
    if desired > current:
        return Word.SCALED_UP
    if desired < current:
        return Word.SCALED_DOWN
    return held[-1] if held else Word.AT_TARGET
