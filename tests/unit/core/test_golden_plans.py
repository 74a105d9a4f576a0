"""Plans of representative situations, as files reviewed like code.

`KIJABI_REWRITE_GOLDEN=1` writes them anew; the difference is then part of the change.
"""

import json
import os
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.core.lifecycle import ReplicaPhase, RolloutState
from orchestrator.core.planner import make_plan
from orchestrator.core.spec import OnFailure, Resources
from tests.factories import (
    NOW,
    a_node,
    a_policy,
    a_replica,
    a_revision,
    a_rollout,
    a_running_snapshot,
    a_snapshot,
    a_spec,
    some_replicas,
)

FOLDER = Path(__file__).parents[2] / "golden" / "plans"

TWO_NODES = (a_node("a"), a_node("b"))


def _rolling(new, available, **fields):
    """Return a rollout of ten (surge 3, unavailable 2) with `new` replicas of revision 2."""
    old = fields.pop("old", 8)
    return a_snapshot(
        spec=fields.pop("spec", a_spec(10, policy=a_policy(3, 2))),
        revisions=(a_revision(1, old, completed=True), a_revision(2, new)),
        replicas=(*some_replicas(old), *some_replicas(new, 2, available=available)),
        rollout=fields.pop("rollout", a_rollout(scaled_for=10, scaled_max=13)),
        **fields,
    )


def _missed_deadline(on_failure):
    rollout = a_rollout(
        scaled_for=10,
        updated=5,
        old=8,
        ready=8,
        available=8,
        progressed_at=NOW - timedelta(seconds=601),
    )
    spec = a_spec(10, policy=a_policy(3, 2), on_failure=on_failure)
    return _rolling(5, 0, spec=spec, rollout=rollout)


def _unplaceable():
    nodes = (a_node("a", cordoned=True), a_node("b", labels=(("disk", "hdd"),)))
    return a_snapshot(
        spec=a_spec(2),
        revisions=(a_revision(1, node_selector=(("disk", "ssd"),)),),
        nodes=nodes,
    )


def _resized():
    limits = Resources(cpu_limit_millis=500, memory_limit_bytes=64 << 20)
    return a_running_snapshot(2, revisions=(a_revision(1, 2, resources=limits, completed=True),))


SITUATIONS = {
    "new-deployment-on-two-nodes": a_snapshot(nodes=TWO_NODES),
    "nothing-to-do": a_running_snapshot(3),
    "lost-replica-is-replaced": replace(
        a_running_snapshot(3), replicas=some_replicas(2), nodes=TWO_NODES
    ),
    "scaled-down": replace(a_running_snapshot(3), spec=a_spec(1)),
    "rollout-begins": _rolling(0, 0, old=10),
    "rollout-waits-for-new-replicas": _rolling(5, 0),
    "rollout-goes-on": _rolling(5, 5),
    "rollout-scaled-in-proportion": _rolling(5, 0, spec=a_spec(20, policy=a_policy(5, 5))),
    "deadline-missed-goes-back": _missed_deadline(OnFailure.ROLLBACK),
    "deadline-missed-is-held": _missed_deadline(OnFailure.PAUSE),
    "no-node-fits": _unplaceable(),
    "limits-changed-in-place": _resized(),
    "recreate-stops-the-old-first": a_snapshot(
        spec=a_spec(2, policy=a_policy(recreate=True)),
        revisions=(a_revision(1, 2, completed=True), a_revision(2)),
        replicas=some_replicas(2),
    ),
    "deletion": replace(
        a_running_snapshot(1),
        deleting=True,
        replicas=(a_replica("r", phase=ReplicaPhase.STARTING),),
    ),
    "paused-half-way": _rolling(
        3,
        3,
        spec=a_spec(10, policy=a_policy(3, 2), paused=True),
        rollout=a_rollout(RolloutState.PAUSED, 10, scaled_max=13),
    ),
}


def _readable(plan):
    return {
        "actions": [{"action": type(action).__name__, **asdict(action)} for action in plan.actions],
        **{key: value for key, value in asdict(plan).items() if key != "actions"},
    }


def _plain(value):
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} has no JSON form")


@pytest.mark.parametrize("name", sorted(SITUATIONS))
def test_the_plan_is_as_reviewed(name):
    path = FOLDER / f"{name}.json"
    plan = _readable(make_plan(SITUATIONS[name]))
    text = json.dumps(plan, indent=2, default=_plain, ensure_ascii=False) + "\n"
    if os.environ.get("KIJABI_REWRITE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8")

    assert text == path.read_text(encoding="utf-8")


def test_no_golden_plan_is_left_over():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(SITUATIONS)
