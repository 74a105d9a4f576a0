"""A page costs as many queries for a large cluster as for a small one; how long: `bench pages`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, URLResolver
from django.utils import timezone

from orchestrator.models import Deployment, Event, Job, Node, Replica
from orchestrator.operations.log_reader import BrokerDown, LogReader
from tests.pages import LOGIN, PAGES
from tests.seeding import Size, seed
from webui import urls

MOST_QUERIES = 10
# What stands for the variables of an address.
VALUES = {
    "<str:namespace>/<str:name>": "default/web",
    "ingresses/default/web": "ingresses/default/{ingress}",
    "namespaces/<str:name>": "namespaces/default",
    "nodes/<str:name>": "nodes/n1",
    "replicas/<str:uid>": "replicas/{replica}",
    "jobs/<str:uid>": "jobs/{job}",
    "events/<int:pk>": "events/{event}",
    "<int:pk>": "1",
}


@pytest.fixture(autouse=True)
def _plain_static_files(settings):
    storage = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}


@pytest.fixture(autouse=True)
def _no_node_answers(monkeypatch):
    """Logs come from nodes, by the broker; there are none here, and nobody should wait for them."""

    async def begin(reader: LogReader) -> None:
        del reader
        raise BrokerDown

    monkeypatch.setattr(LogReader, "begin", begin)


@pytest.fixture
def person(db: None) -> Client:
    user = User.objects.create_user("eve")
    user.groups.add(Group.objects.get_or_create(name="admin")[0])
    client = Client()
    client.force_login(user)
    return client


def test_no_page_of_a_large_cluster_takes_many_queries(
    person: Client, subtests: pytest.Subtests, django_assert_max_num_queries
):
    ids = seed(timezone.now())
    counted = [table.objects.count() for table in (Node, Deployment, Replica, Event, Job)]
    assert counted == [3, 200, 2000, 5000, 4000]

    for page in PAGES:
        with subtests.test(page), django_assert_max_num_queries(MOST_QUERIES):
            assert person.get(page.format(**ids)).status_code == 200


def test_no_page_is_missing_from_the_list_of_pages(person: Client):
    ids = seed(timezone.now(), Size(deployments=4, events=20, jobs=20))

    found = {path for path in addresses(urls.urlpatterns) if is_page(person, path.format(**ids))}

    assert found <= {LOGIN, *(page.split("?", 1)[0] for page in PAGES)}


def addresses(patterns: Sequence[URLPattern | URLResolver], before: str = "/") -> Iterator[str]:
    """Return every address of the site as the list of pages would write it."""
    for pattern in patterns:
        route = before + str(pattern.pattern)
        for variable, value in VALUES.items():
            route = route.replace(variable, value)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, route)
        else:
            assert "<" not in route, f"VALUES says nothing about {route}"
            yield route


def is_page(person: Client, path: str) -> bool:
    answer = person.get(path)
    return answer.status_code == 200 and answer["Content-Type"].startswith("text/html")
