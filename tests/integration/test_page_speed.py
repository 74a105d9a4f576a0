"""A page costs as many queries for a large cluster as for a small one; how long: `bench pages`."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import resolve
from django.utils import timezone

from orchestrator.models import Deployment, Event, Job, Node, Replica
from tests.pages import LOGIN, PAGES
from tests.seeding import seed
from webui import urls

MOST_QUERIES = 10
# They answer no GET with a page of their own.
NOT_PAGES = {"logout"}


@pytest.fixture(autouse=True)
def _plain_static_files(settings):
    storage = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}


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


def test_no_page_is_missing_from_the_list_of_pages():
    ids = {"replica": "a", "job": "a", "event": "1"}
    listed = {resolve(page.split("?", 1)[0].format(**ids)).url_name for page in (LOGIN, *PAGES)}

    assert {pattern.name for pattern in urls.urlpatterns} == listed | NOT_PAGES
