"""Rows saved by one statement, beside what Django's own way saves."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestrator.models import Event, Namespace, Replica, Service
from orchestrator.operations import many_rows
from tests.seeding import Size, seed

pytestmark = pytest.mark.django_db
THEN = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def services(count: int) -> list[Service]:
    space, _ = Namespace.objects.get_or_create(name="default", defaults={"created_at": THEN})
    made = [
        Service(uid=f"u{n}", namespace=space, name=f"s{n}", manifest={}, created_at=THEN)
        for n in range(count)
    ]
    for row in made:
        row.changed_at = THEN
    return Service.objects.bulk_create(made)


def test_what_was_named_is_saved_and_nothing_else():
    first, second = services(2)
    first.manifest, first.generation = {"spec": {"it's": ["100%", None]}}, 7
    first.name = "not told"

    many_rows.update([first], ("manifest", "generation"))

    saved = Service.objects.get(pk=first.pk)
    assert (saved.manifest, saved.generation, saved.name) == (first.manifest, 7, "s0")
    assert Service.objects.get(pk=second.pk).generation == second.generation


def test_times_and_rows_that_are_pointed_at_are_saved_too():
    seed(THEN, Size(deployments=2, nodes=2, events=4, jobs=2))
    event = Event.objects.create(at=THEN, reason="Tried'", message="")
    row = Replica.objects.earliest("pk")
    row.cause, row.ready, row.ready_at, row.resources = event, True, THEN, {"cpu": None}

    many_rows.update([row], ("cause", "ready", "ready_at", "resources"))
    saved = Replica.objects.get(pk=row.pk)
    row.cause = row.ready_at = None
    many_rows.update([row], ("cause", "ready_at"))
    emptied = Replica.objects.get(pk=row.pk)

    assert (saved.cause, saved.ready, saved.ready_at) == (event, True, THEN)
    assert saved.resources == {"cpu": None}
    assert (emptied.cause, emptied.ready_at, emptied.ready) == (None, None, True)


def test_many_rows_are_one_statement_and_none_is_none():
    rows = services(50)
    for number, row in enumerate(rows):
        row.generation = number + 10

    with CaptureQueriesContext(connection) as queries:
        many_rows.update(rows, ("generation",))
        many_rows.update([], ("generation",))

    assert len(queries) == 1
    found = Service.objects.order_by("pk").values_list("generation", flat=True)
    assert list(found) == list(range(10, 60))
