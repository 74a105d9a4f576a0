"""What the control worker's tasks add to the operations they call: fairness."""

from __future__ import annotations

import pytest

from orchestrator import tasks
from orchestrator.operations import sweep


@pytest.fixture
def passes(db, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the deployments that had a pass; four are owed one in every sweep."""
    found: list[int] = []
    monkeypatch.setattr(sweep, "owed", lambda **_: [1, 2, 3, 4])
    monkeypatch.setattr(tasks, "_reconcile", found.append)
    monkeypatch.setattr(tasks, "_swept", tasks._Rotation())
    return found


def test_a_sweep_out_of_time_is_gone_on_with_by_the_next(passes, monkeypatch):
    monkeypatch.setattr(tasks, "SWEEP_BUDGET_SECONDS", -1.0)
    for _ in range(5):
        tasks.sweep_unsettled()
    assert passes == [1, 2, 3, 4, 1]


def test_a_sweep_with_time_gives_everybody_a_pass(passes):
    tasks.sweep_unsettled()
    tasks.sweep_unsettled()
    assert passes == [1, 2, 3, 4, 1, 2, 3, 4]


def test_two_sweeps_never_run_at_once(passes):
    with tasks._sweeping:
        tasks.sweep_unsettled()
    assert passes == []
