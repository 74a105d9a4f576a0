"""Whatever is sent, the answer is a problem in one sentence, never a failure of the server."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from orchestrator.manifests.manifest import parse
from orchestrator.models import Deployment, Node
from tests.cluster import manifest
from tests.factories import NOW
from tests.integration.api.requests import WEB, apply, post, send

KINDS = ["application/yaml", "application/json", "text/plain"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
fuzzed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of every value inside a value."""
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else []
    )
    return [path, *(found for key, item in pairs for found in places(item, (*path, key)))]


PLACES = places(parse(manifest())[0].full)[1:]


def damaged(path: tuple[str | int, ...], value: object) -> dict:
    body = json.loads(json.dumps(parse(manifest())[0].full))
    where = body
    for key in path[:-1]:
        where = where[key]
    where[path[-1]] = value
    return body


@fuzzed
@given(
    body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
    kind=st.sampled_from(KINDS),
)
def test_junk_is_refused(api: APIClient, body: bytes, kind: str):
    answer = api.generic("POST", "/api/v1/apply/", body, content_type=kind)

    assert answer.status_code == 422
    assert answer.json()["problems"]


@fuzzed
@given(path=st.sampled_from(PLACES), value=VALUES)
def test_a_manifest_with_one_strange_value_is_taken_or_refused(api: APIClient, path, value):
    answer = post(api, "/api/v1/apply/?dry_run=true", damaged(path, value))

    assert answer.status_code in {200, 404, 422}
    assert not Deployment.objects.exists()


@fuzzed
@given(
    patch=VALUES
    | st.builds(
        lambda p, v: {"spec": {p: v}}, st.sampled_from(["replicas", "template", "strategy"]), VALUES
    )
)
def test_a_strange_patch_is_taken_or_refused(api: APIClient, patch):
    apply(api, manifest())

    answer = send(api, "PATCH", WEB, patch)

    assert answer.status_code in {200, 400, 409, 422}


@fuzzed
@given(verb=st.sampled_from(["scale", "rollback", "pause", "resume", "restart"]), body=VALUES)
def test_strange_words_are_taken_or_refused(api: APIClient, verb: str, body):
    apply(api, manifest())

    assert post(api, f"{WEB}{verb}/", body).status_code in {200, 400, 404, 409}


@fuzzed
@given(change=VALUES | st.fixed_dictionaries({"labels": VALUES, "taints": VALUES}))
def test_a_strange_change_of_a_node_is_taken_or_refused(api: APIClient, change):
    Node.objects.get_or_create(name="n1", defaults={"joined_at": NOW, "seen_at": NOW})

    answer = send(api, "PATCH", "/api/v1/nodes/n1/", change)

    assert answer.status_code in {200, 400, 409, 422}


@pytest.mark.parametrize("text", ['"a\\0b"', '"\\ud800"', '"\\u0000"', '"\\x07"'])
@pytest.mark.parametrize("place", ["args", "annotation", "image"])
def test_characters_no_database_takes_are_refused_by_name(api: APIClient, text: str, place: str):
    written = {
        "args": manifest().replace('["1"]', f"[{text}]"),
        "annotation": manifest().replace("{kijabi", f"{{note: {text}, kijabi"),
        "image": manifest().replace("image: app:1", f"image: {text}"),
    }[place]
    assert text in written

    answer = apply(api, written)

    assert answer.status_code in {200, 422}
    assert (answer.status_code == 200) is Deployment.objects.exists()


@pytest.mark.parametrize(
    "query",
    [
        "search=%00",
        "namespace=%00",
        "label=%00%3D1",
        "page=0",
        "page=x",
        "phase=nonesuch",
        "label=x",
    ],
)
def test_strange_filters_are_refused(api: APIClient, query: str):
    answer = api.get(f"/api/v1/deployments/?{query}")

    assert answer.status_code in {400, 404}
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "events/?since=%C2%B2",
        "events/?since=99999999999999999999",
        "events/?severity=dreadful",
        "jobs/?state=lost",
        "replicas/?phase=asleep",
        "namespaces/%00/",
        "nodes/%00/",
        "namespaces/%00/deployments/",
        "events/99999999999999999999/",
        "replicas/%00/logs/",
        "replicas/x/logs/?tail=%C2%B2",
        "replicas/x/logs/?tail=-1",
    ],
)
def test_strange_addresses_are_refused(api: APIClient, path: str):
    answer = api.get(f"/api/v1/{path}")

    assert answer.status_code in {400, 404}
    assert answer["Content-Type"] == "application/problem+json"


def test_json_that_yaml_cannot_read_is_held_to_the_same_bounds(api: APIClient):
    apply(api, manifest())
    deep = '{\n\t"spec": ' + "[" * 900 + "]" * 900 + "}"

    answer = api.generic("PATCH", WEB, deep, content_type="application/json")

    assert answer.status_code == 400
    assert "nested deeper" in answer.json()["detail"]
