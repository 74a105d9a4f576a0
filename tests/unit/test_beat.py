"""The beat goes on, whatever becomes of the clock."""

from __future__ import annotations

import time

import pytest

from orchestrator.celery import app, every


def test_the_beat_goes_by_a_clock_that_nobody_can_set(monkeypatch: pytest.MonkeyPatch):
    beat = every(5)
    latest = beat.now()
    begun = time.monotonic()

    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "monotonic", lambda: begun + 4)
    early = beat.is_due(latest)
    monkeypatch.setattr(time, "monotonic", lambda: begun + 6)
    due = beat.is_due(latest)

    assert (early.is_due, due.is_due) == (False, True)


def test_every_task_of_the_schedule_keeps_this_beat():
    schedules = [entry["schedule"] for entry in app.conf.beat_schedule.values()]

    assert {schedule.nowfun for schedule in schedules} == {every(1).nowfun}
