"""Whether the process lives, and whether it can work."""

from __future__ import annotations

import pytest
from django.db import OperationalError
from django.db.migrations.recorder import MigrationRecorder


def test_the_process_lives_without_anything(client):
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.django_db
def test_a_broker_that_is_down_is_told_and_forgiven(client):
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["database"] == "ok"
    assert "does not answer" in answer.json()["broker"]


@pytest.mark.django_db
def test_a_missing_migration_is_not_ready(client):
    MigrationRecorder.Migration.objects.filter(app="orchestrator").delete()

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert "missing" in answer.json()["database"]


def test_a_database_that_is_down_is_not_ready(client, monkeypatch):
    def away(*_: object) -> None:
        raise OperationalError("10.0.0.1 refused")

    monkeypatch.setattr(MigrationRecorder, "applied_migrations", away)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["database"] == "does not answer"
