"""Whatever is sent: it is read, or refused in words; nothing else ever happens."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.manifests import deployment as meaning
from orchestrator.manifests.manifest import Manifest, from_object, parse
from orchestrator.manifests.problems import MAX_PROBLEMS, ManifestInvalid
from tests.unit.manifests.samples import FROM_KUBECTL, WEB, only

NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=20)
LABELS = st.dictionaries(NAMES, NAMES, max_size=3)

PROBES = st.fixed_dictionaries(
    {"httpGet": st.fixed_dictionaries({"port": st.integers(1, 65535)}, optional={"path": TEXTS})},
    optional={
        "initialDelaySeconds": st.integers(0, 100),
        "failureThreshold": st.integers(1, 10),
    },
)
CONTAINERS = st.fixed_dictionaries(
    {"name": NAMES, "image": st.sampled_from(["nginx", "nginx:1", "host", "/srv/root"])},
    optional={
        "args": st.lists(TEXTS, max_size=3),
        "env": st.lists(
            st.fixed_dictionaries({"name": NAMES}, optional={"value": TEXTS}), max_size=3
        ),
        "ports": st.just([{"containerPort": 80, "name": "http"}]),
        "resources": st.sampled_from([{}, {"limits": {"cpu": "1"}}, {"requests": {"cpu": 0.5}}]),
        "readinessProbe": PROBES,
        "livenessProbe": PROBES,
    },
)
SPECS = st.fixed_dictionaries(
    {
        "template": st.fixed_dictionaries(
            {
                "spec": st.fixed_dictionaries(
                    {"containers": st.lists(CONTAINERS, min_size=1, max_size=1)},
                    optional={"nodeSelector": LABELS, "dnsPolicy": st.just("ClusterFirst")},
                )
            },
            optional={"metadata": st.fixed_dictionaries({}, optional={"labels": LABELS})},
        )
    },
    optional={
        "replicas": st.integers(0, 5000),
        "paused": st.booleans(),
        "strategy": st.sampled_from([{}, {"type": "Recreate"}, {"rollingUpdate": {"maxSurge": 1}}]),
    },
)
DEPLOYMENTS = st.builds(
    lambda name, spec: {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": spec,
    },
    NAMES,
    SPECS,
)
ANY_SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["1Ei", "25%", "Recreate", "yes", 10**4000, "\x00", "\ud800", -1])
)
KEYS = st.sampled_from(["spec", "metadata", "name", "env", "limits", "x", ""]) | st.text(max_size=5)
ANY_TREE = st.recursive(
    ANY_SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def told(refusal: ManifestInvalid) -> bool:
    """Tell whether every fault is one line of sensible length."""
    sentences = [str(problem) for problem in refusal.problems]
    return 0 < len(sentences) <= MAX_PROBLEMS + 1 and all(
        "\n" not in sentence and len(sentence) < 2000 for sentence in sentences
    )


def read_or_refused(value: object) -> Manifest | None:
    try:
        return from_object(value)
    except ManifestInvalid as refusal:
        assert told(refusal)  # noqa: PT017, it may also be accepted
        return None


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) inside a tree."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


def anywhere(data: st.DataObject, value: dict[str, Any]) -> tuple[dict[str, Any], Any, Any]:
    """Return a copy of a manifest that may be spoilt, and some place in it."""
    value = copy.deepcopy(value)
    found = places(value)
    target, key = found[data.draw(st.integers(0, len(found) - 1))]
    return value, target, key


@given(st.text(max_size=300) | st.binary(max_size=300))
def test_any_text_is_read_or_refused(text: str | bytes):
    try:
        parse(text)
    except ManifestInvalid as refusal:
        assert told(refusal)  # noqa: PT017, it may also be accepted


@given(
    st.sampled_from([WEB, FROM_KUBECTL]),
    st.integers(0, 2000),
    st.integers(0, 30),
    st.text("{}[]:-&*!|>'\"\n \tab1,#%@`?\x00\x85", max_size=5),
)
def test_a_text_with_an_accident_is_read_or_refused(text: str, at: int, cut: int, put: str):
    try:
        parse(text[:at] + put + text[at + cut :])
    except ManifestInvalid as refusal:
        assert told(refusal)  # noqa: PT017, it may also be accepted


@given(ANY_TREE)
def test_any_value_is_read_or_refused(tree: object):
    assert read_or_refused(tree) is None


@given(st.data(), DEPLOYMENTS, ANY_TREE)
def test_a_manifest_with_anything_anywhere_is_read_or_refused(
    data: st.DataObject, value: dict[str, Any], tree: object
):
    value, target, key = anywhere(data, value)
    target[key] = tree

    manifest = read_or_refused(value)

    if manifest is not None:
        meaning.spec_of(manifest.full)
        meaning.resources_of(meaning.template_of(manifest.full))


@given(st.data(), DEPLOYMENTS)
def test_a_manifest_with_anything_missing_is_read_or_refused(
    data: st.DataObject, value: dict[str, Any]
):
    value, target, key = anywhere(data, value)
    del target[key]

    read_or_refused(value)


@given(DEPLOYMENTS)
def test_a_legal_manifest_is_read_back_as_it_was(value: dict[str, Any]):
    manifest = from_object(value)

    assert manifest.written == value
    assert only(meaning.to_yaml(manifest.written)) == manifest
    assert only(meaning.to_yaml(manifest.full)).full == manifest.full


@given(DEPLOYMENTS)
def test_defaults_are_filled_in_once_and_for_all(value: dict[str, Any]):
    full = from_object(copy.deepcopy(value)).full

    again = from_object(full)

    assert again.full == full
    assert again.written == full
    assert meaning.spec_of(again.full) == meaning.spec_of(full)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"kind": nested(5000)}, "nested deeper than 64"),
        ({"kind": 10**5000}, "is not a number this can hold"),
        ({"kind": float("nan")}, "nan is not a finite number"),
        ({"kind": "\ud800"}, "the text holds a NUL character or half a surrogate pair"),
        ({"\x00": 1}, "the text holds a NUL character or half a surrogate pair"),
        ({"kind": [1] * 100_001}, "more than 100,000 values"),
    ],
    ids=["deep", "huge", "not-a-number", "surrogate", "nul", "long"],
)
def test_plain_values_keep_the_bounds_of_texts(value: object, sentence: str):
    with pytest.raises(ManifestInvalid, match=sentence):
        from_object(value)
