"""One evaluation of an autoscaler: Kubernetes' order of questions, answered by the files below.

Invariants: the result lies within the bounds, except that 0 replicas stay 0 where somebody wants
none; more load never gives fewer replicas; the same observation gives the same decision.

Beyond Kubernetes: with a minimum of 0 there is no replica while no request comes, whatever other
metrics say, and one as soon as a request waits. The last one stays while any request is under way.
"""

from __future__ import annotations

from dataclasses import replace
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
        return _from_zero(observation, bounds)
    if current > bounds.maximum:
        return _decided(observation, bounds, desired=bounds.maximum, word=Word.ABOVE_MAXIMUM)
    if current < bounds.minimum:
        return _decided(observation, bounds, desired=bounds.minimum, word=Word.BELOW_MINIMUM)
    verdicts = tuple(propose(policy, metric, observation) for metric in policy.metrics)
    leader = _sleepy(verdicts, observation) if bounds.minimum == 0 else None
    if leader is None:
        leader = _leader(verdicts, current)
    if leader is None:
        return _decided(
            observation, bounds, desired=current, word=Word.NO_METRICS, verdicts=verdicts
        )
    return _followed(policy, observation, bounds, verdicts, leader)


def _from_zero(observation: Observation, bounds: Bounds) -> Decision:
    """Return whether somebody is to serve again where there is no replica."""
    if not observation.asleep:
        return _decided(observation, bounds, desired=0, word=Word.DISABLED)
    if bounds.minimum > 0:
        return _decided(observation, bounds, desired=bounds.minimum, word=Word.BELOW_MINIMUM)
    if observation.waiting or observation.unwatched:
        word = Word.WOKEN if observation.waiting else Word.UNWATCHED
        woken = _decided(observation, bounds, desired=1, word=word)
        # What was called for counts within the windows, so it does not fall asleep at once.
        return replace(woken, proposed=1, note=observation.unwatched)
    return _decided(observation, bounds, desired=0, word=Word.ASLEEP)


def _sleepy(verdicts: tuple[Verdict, ...], observation: Observation) -> Verdict | None:
    """Return a metric of requests that calls for no replica; None while there are requests."""
    if not _is_idle(observation):
        return None
    of_requests = (one for one in verdicts if not one.metric.source.is_resource)
    found = next((one for one in of_requests if one.proposal is not None), None)
    return replace(found, proposal=0) if found is not None else None


def _is_idle(observation: Observation) -> bool:
    """Tell whether it is known of every replica that it has no request."""
    if observation.waiting or not observation.replicas:
        return False
    for replica in observation.replicas:
        known = [s.value for source, s in replica.samples.items() if not source.is_resource]
        if replica.pending or not known or any(known):
            return False
    return True


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
    if proposed == 0 and bounds.minimum == 0 and not _is_idle(observation):
        proposed = 1
        held.append(Word.STILL_BUSY)
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
