"""A decision in words: the arithmetic of each metric, and why the number changes or does not."""

from __future__ import annotations

from fractions import Fraction

from orchestrator.core.autoscaling.decision import Average, Decision, Outcome, Verdict, Word
from orchestrator.core.autoscaling.policy import Metric, Source, TargetKind
from orchestrator.core.wording import ASLEEP, cores, count, memory

_NAMES = {
    Source.CPU: "cpu",
    Source.MEMORY: "memory",
    Source.REQUESTS_PER_SECOND: "requests per second",
    Source.REQUESTS_IN_FLIGHT: "requests in flight",
}
_HELD = {
    Word.UP_STABILISED: "a lower number was enough within the window for scaling up",
    Word.DOWN_STABILISED: "a higher number was needed within the window for scaling down",
    Word.UP_LIMITED: "the policies for scaling up allow no more now",
    Word.DOWN_LIMITED: "the policies for scaling down allow no less now",
    Word.TOO_MANY: "more than the maximum",
    Word.TOO_FEW: "less than the minimum",
    Word.ROLLING_OUT: "a rollout is under way, and nothing is scaled down meanwhile",
    Word.STILL_BUSY: "requests are under way or wait, or nobody knows, so the last replica stays",
}

_PLAIN = {
    Word.NO_TARGET: "there is no such deployment",
    Word.DISABLED: "nothing is done while 0 replicas are asked for",
    Word.ASLEEP: ASLEEP,
    Word.WOKEN: "from 0 to 1 replica: requests wait for it at a gateway",
    Word.UNWATCHED: "from 0 to 1 replica: nobody would notice a request",
}


def name_of(metric: Metric) -> str:
    """Return a metric's name as people say it."""
    return _NAMES[metric.source]


def target(metric: Metric) -> str:
    """Return what a metric should be: `cpu 80 %`, `requests per second 100/s`."""
    return f"{name_of(metric)} {amount(metric, metric.target)}"


def amount(metric: Metric, value: int) -> str:
    """Return a value of a metric with its unit: `80 %`, `250m`, `64Mi`, `12.5/s`."""
    if metric.target_kind is TargetKind.UTILIZATION:
        return f"{value} %"
    return measure(metric.source, value)


def measure(source: Source, value: int) -> str:
    """Return a plain value of a source with its unit."""
    if source is Source.CPU:
        return cores(value)
    if source is Source.MEMORY:
        return memory(value)
    per = "/s" if source is Source.REQUESTS_PER_SECOND else ""
    return f"{number(Fraction(value, 1000))}{per}"


def number(value: Fraction) -> str:
    """Return a fraction with at most three decimals."""
    return f"{float(value):.3f}".rstrip("0").rstrip(".")


def arithmetic(verdict: Verdict) -> str:
    """Return how a metric comes to its number of replicas, in one sentence."""
    metric = verdict.metric
    if verdict.measured is None:
        return f"{name_of(metric)}: {verdict.failure}"
    text = f"{name_of(metric)}: {_average(metric, verdict.measured)}"
    if verdict.filled is not None:
        text += f"; {_assumed(verdict)}: {_average(metric, verdict.filled)}"
    return f"{text}; {_conclusion(verdict, verdict.filled or verdict.measured)}"


def message(decision: Decision) -> str:
    """Return what becomes of the number of replicas, and why, in one sentence."""
    head = _headline(decision)
    if decision.word is Word.NO_METRICS:
        silent = [arithmetic(v) for v in decision.verdicts if v.proposal is None]
        return f"{head}: {'; '.join(silent)}"
    if decision.leader is None:
        return head
    steps = "; ".join(arithmetic(verdict) for verdict in decision.verdicts)
    held = [f"{_HELD[word]}{_bound(decision, word)}" for word in decision.held_by]
    return "; ".join([f"{head}: {steps}", *held])


def _headline(decision: Decision) -> str:
    current, desired, bounds = decision.current, decision.desired, decision.bounds
    if decision.word in _PLAIN:
        return "; ".join(filter(None, [_PLAIN[decision.word], decision.note]))
    match decision.word:
        case Word.ABOVE_MAXIMUM:
            return f"from {current} to {desired} replicas: the maximum is {bounds.maximum}"
        case Word.BELOW_MINIMUM:
            return f"from {current} to {desired} replicas: the minimum is {bounds.minimum}"
        case Word.NO_METRICS:
            return f"the number stays {current}, as not every metric is known"
    if decision.changes:
        return f"from {current} to {count(desired, 'replica')}"
    return f"the number stays {current}"


def _bound(decision: Decision, word: Word) -> str:
    match word:
        case Word.TOO_MANY:
            return f" of {decision.bounds.maximum} would be needed"
        case Word.TOO_FEW:
            return f" of {decision.bounds.minimum} would be enough"
        case Word.UP_LIMITED | Word.DOWN_LIMITED:
            return f" than {decision.paced}"
    return ""


def _average(metric: Metric, average: Average) -> str:
    of = f"{amount(metric, average.value)} on average of {count(average.replicas, 'replica')}"
    if metric.target_kind is TargetKind.UTILIZATION:
        total = measure(metric.source, average.total)
        of += f" ({total} of {measure(metric.source, average.basis)} requested)"
    return f"{of}, target {amount(metric, metric.target)}, ratio {number(average.ratio)}"


def _assumed(verdict: Verdict) -> str:
    parts = []
    if verdict.assumed_missing is not None:
        value = measure(verdict.metric.source, verdict.assumed_missing)
        parts.append(f"{len(verdict.missing)} without a value counted as {value}")
    elif verdict.missing:
        parts.append(f"{len(verdict.missing)} without a value left out")
    if verdict.assumed_unready is not None:
        parts.append(f"{len(verdict.unready)} not ready counted as 0")
    return " and ".join(parts)


def _conclusion(verdict: Verdict, average: Average) -> str:
    match verdict.outcome:
        case Outcome.WITHIN_TOLERANCE:
            return "within the tolerance"
        case Outcome.WOULD_TURN:
            return "which would turn the direction, so nothing changes"
    needed = average.ratio * average.replicas
    rounded = "" if needed.denominator == 1 else f", rounded up {verdict.proposal}"
    return f"{number(average.ratio)} × {average.replicas} = {number(needed)}{rounded}"
