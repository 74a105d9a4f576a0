"""The first pages: behind a login, complete without scripts, under a strict policy."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.cluster import Cluster, manifest
from tests.pages import PAGES


@pytest.fixture(autouse=True)
def _plain_static_files(settings):
    storage = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}


@pytest.fixture
def person(cluster: Cluster) -> Client:
    client = Client()
    user = User.objects.create_user("eve")
    user.groups.add(Group.objects.get_or_create(name="operator")[0])
    client.force_login(user)
    return client


def test_nobody_sees_anything_without_a_login(db: None):
    answer = Client().get("/")

    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/")


def test_a_wrong_password_is_told(db: None):
    answer = Client().post("/login/", {"username": "admin", "password": "wrong"})

    assert "do not match" in answer.content.decode()


def test_the_overview_shows_what_runs(person: Client, cluster: Cluster):
    cluster.apply(manifest(replicas=2))

    page = person.get("/").content.decode()

    assert "web" in page
    assert "Running 2/2" in page
    assert "n1" in page


def test_an_empty_overview_says_what_to_do(person: Client):
    assert "manage.py apply" in person.get("/").content.decode()


def test_a_deployment_shows_replicas_revisions_and_events(person: Client, cluster: Cluster):
    cluster.apply(manifest(replicas=2))
    uid = cluster.live()[0].uid

    page = person.get("/deployments/default/web/").content.decode()

    assert uid in page
    assert "app:1" in page
    assert "RolloutComplete" in page


def test_a_deployment_that_is_not_there_is_not_found(person: Client):
    assert person.get("/deployments/default/none/").status_code == 404


def test_an_address_that_is_none_says_so(person: Client):
    answer = person.get("/nothing/here/")

    assert answer.status_code == 404
    assert "There is no page at this address." in answer.content.decode()


def test_a_page_can_be_asked_for_its_head_and_takes_nothing(person: Client):
    assert person.head("/").status_code == 200
    assert person.post("/").status_code == 405


def test_a_form_without_its_token_is_refused_in_words(person: Client):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = person.cookies

    answer = strict.post("/deployments/default/web/pause/")

    assert answer.status_code == 403
    assert "load the page again" in answer.content.decode()


def test_tastes_are_only_what_can_be_chosen(person: Client):
    answer = person.post("/taste/", {"theme": "böse\r\nx", "keys": "off", "language": "xx"})

    assert answer.cookies["theme"].value == ""
    assert answer.cookies["keys"].value == "off"


@pytest.mark.parametrize(
    ("path", "has_fields"),
    [
        ("/", False),
        ("/jobs/", False),
        ("/nodes/", False),
        ("/deployments/", True),
        ("/deployments/default/web/", True),
        ("/events/", True),
    ],
)
def test_without_scripts_no_page_reloads_under_the_fingers(
    person: Client, cluster: Cluster, path: str, has_fields: bool
):
    cluster.apply(manifest(replicas=1))

    page = person.get(path).content.decode()

    assert ('http-equiv="refresh"' in page) is not has_fields


def test_a_page_that_keeps_itself_current_leaves_what_is_said_once(
    person: Client, cluster: Cluster
):
    cluster.apply(manifest(replicas=1))
    person.post("/deployments/default/web/pause/", {"next": "/nodes/"})

    refreshed = person.get("/nodes/", headers={"X-Kijabi-Live": "1"}).content.decode()
    opened = person.get("/nodes/").content.decode()

    assert "web is paused" not in refreshed
    assert "web is paused" in opened


def test_equal_names_of_two_namespaces_stay_apart(person: Client, cluster: Cluster):
    # With a plain dash in between, both would be "a-b-c".
    for namespace, name in (("a-b", "c"), ("a", "b-c")):
        cluster.apply(f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}")
        cluster.apply(manifest(replicas=1, name=f"{name}\n  namespace: {namespace}"))
        person.post(f"/deployments/{namespace}/{name}/pause/", {"next": "/"})

    page = person.get("/").content.decode()

    ids = re.findall(r' id="([^"]+)"', page)
    assert [one for one in ids if ids.count(one) > 1] == []
    for namespace, name in (("a-b", "c"), ("a", "b-c")):
        assert f'id="moving-{namespace}.{name}"' in page
        assert f'<span class="muted">{namespace}</span>' in page


def test_korean_pages_have_korean_words_for_states_and_verbs(person: Client, cluster: Cluster):
    cluster.apply(manifest(replicas=1))
    korean = {"headers": {"Accept-Language": "ko"}}
    form = {"verb": "pause", "item": "default/web", "next": "/jobs/"}

    page = person.post("/deployments/bulk/", form, follow=True, **korean).content.decode()

    assert "배포 1개를 일시 중지했습니다" in page
    assert "대체됨" in page
    assert not re.search(r">\s*(start|done|queued|superseded)\b", page)


def test_every_list_says_beside_it_what_waits(
    person: Client, cluster: Cluster, subtests: pytest.Subtests
):
    cluster.apply(manifest(replicas=1))
    replica = cluster.live()[0].uid

    for path in PAGES:
        page = person.get(
            path.format(replica=replica, job=0, event=0, ingress="none")
        ).content.decode()
        with subtests.test(path):
            lists = re.findall(r'<[^>]* id="([^"]+)"[^>]* data-list', page)
            assert len(lists) == len(re.findall(" data-list", page))
            for name in lists:
                assert page.count(f'data-pending-for="{name}"') == 1


def test_pages_forbid_foreign_and_inline_scripts(person: Client):
    policy = person.get("/")["Content-Security-Policy"]

    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/api/docs/", "/api/schema/"])
def test_the_api_describes_itself(person: Client, path: str):
    assert person.get(path).status_code == 200
