"""The pages of services and gateways say who is in rotation, who is not, and why."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from orchestrator.core.lifecycle import RolloutState
from orchestrator.core.plan import DeploymentPhase
from orchestrator.models import Deployment
from tests.seeding import Size, seed

SMALL = Size(deployments=4, events=10, jobs=10)


@pytest.fixture
def reader(db: None, plain_static_files: None) -> Client:
    seed(timezone.now(), SMALL)
    client = Client()
    client.force_login(User.objects.create_superuser("eve"))
    return client


def test_a_service_says_who_is_in_rotation_and_why_the_others_are_not(reader: Client):
    text = reader.get("/services/default/web/").content.decode()

    assert "In rotation" in text
    assert "it is starting" in text
    assert "web.example.com/" in text


def test_a_service_that_selects_nothing_says_so(reader: Client):
    text = reader.get("/services/default/lonely/").content.decode()

    assert "no replica has the labels app=none, so nothing serves it" in text


def test_gateways_say_what_they_cannot_do(reader: Client):
    text = reader.get("/gateways/").content.decode()

    assert "caddy is not installed" in text


def test_a_service_that_is_not_there_is_a_page_that_says_so(reader: Client):
    answer = reader.get("/services/default/none/")

    assert answer.status_code == 404


def test_what_sleeps_is_shown_calmly(reader: Client):
    Deployment.objects.filter(name="web").update(
        phase=DeploymentPhase.AVAILABLE,
        rollout_state=RolloutState.COMPLETE,
        scaled_by="web",
        autoscaled=0,
        replicas=0,
    )

    for path in ("/deployments/", "/deployments/default/web/"):
        text = reader.get(path).content.decode()
        assert "Asleep" in text
        assert "No replica runs until a request comes by an Ingress" in text


def test_an_ingress_says_where_its_hosts_lead(reader: Client):
    text = reader.get("/ingresses/default/site/").content.decode()

    assert "web.example.com/" in text
    assert 'href="/services/default/web/"' in text
    assert "/api/v1/namespaces/default/ingresses/site/" in text
