"""Reading manifests: strict, complete, helpful."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.spec import OnFailure
from orchestrator.manifests import deployment as meaning
from orchestrator.manifests import quantities, schema
from orchestrator.manifests.manifest import from_object, parse
from orchestrator.manifests.problems import ManifestInvalid

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 3
  template:
    spec:
      containers:
      - name: web
        image: nginx:1.27
        ports: [{containerPort: 80, name: http}]
        readinessProbe: {httpGet: {port: http}}
        resources: {limits: {cpu: 500m, memory: 64Mi}}
"""

NO_BOUNDS = "{maxSurge: 0, maxUnavailable: 0}"

FROM_KUBECTL = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "annotations": {
            "deployment.kubernetes.io/revision": "1",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
        },
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 1,
        "name": "web",
        "namespace": "default",
        "resourceVersion": "41",
        "uid": "6a",
    },
    "spec": {
        "progressDeadlineSeconds": 600,
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            "type": "RollingUpdate",
        },
        "template": {
            "metadata": {"creationTimestamp": None, "labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "image": "nginx:1.27",
                        "imagePullPolicy": "IfNotPresent",
                        "name": "web",
                        "resources": {},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                    }
                ],
                "dnsPolicy": "ClusterFirst",
                "restartPolicy": "Always",
                "schedulerName": "default-scheduler",
                "securityContext": {},
                "terminationGracePeriodSeconds": 30,
            },
        },
    },
    "status": {"replicas": 1},
}


def faults(text: str | bytes) -> list[str]:
    with pytest.raises(ManifestInvalid) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]


def test_what_kubectl_prints_can_be_applied():
    found = from_object(FROM_KUBECTL)

    assert found.name == "web"
    assert "status" not in found.written
    assert "uid" not in found.written["metadata"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("replicas: 3", "replicas: -1"), "line 6: spec.replicas: is -1"),
        (("replicas: 3", "replicas: 5001"), "between 0 and 5000"),
        (("replicas: 3", "replicas: '3'"), "must be a whole number, not a string"),
        (("image: nginx:1.27", "imagee: x"), 'did you mean "image"?'),
        (("image: nginx:1.27", "image: 'a b'"), "without spaces"),
        (("name: web\nspec", "name: Web!\nspec"), '"Web!" is not valid'),
        (("port: http}", "port: htp}"), "is not the name of one of the container's ports"),
        (("memory: 64Mi", "memory: 64Mo"), "unknown suffix"),
        (("cpu: 500m", "cpu: 0"), "out of range"),
        (("kind: Deployment", "kind: Pod"), "supported are Deployment, Namespace"),
        (("replicas: 3", "replicas: 3\n  replicas: 4"), "given twice"),
        (("containerPort: 80,", "containerPort: 70000,"), "between 1 and 65535"),
        (("replicas: 3", "minReadySeconds: 600"), "greater than minReadySeconds"),
        (("- name: web", "- name: web\n        env: [{name: A, value: yes}]"), "put it in quotes"),
        (("- name: web", "- name: web\n        volumeMounts: [{}]"), "not supported yet"),
        (
            ("  template:", f"  strategy: {{rollingUpdate: {NO_BOUNDS}}}\n  template:"),
            "no step would be possible",
        ),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_clear_sentence(change: tuple[str, str], expected: str):
    told = faults(WEB.replace(*change))

    assert len(told) >= 1
    assert any(expected in sentence for sentence in told), told


def test_every_mistake_of_every_document_is_told_at_once():
    text = WEB.replace("replicas: 3", "replicas: -1") + "---\nkind: Nonsense\n"

    told = faults(text)

    assert len(told) == 2
    assert told[0].startswith("document 1, line 6")
    assert told[1].startswith("document 2")


@pytest.mark.parametrize(
    "text",
    ["", "a: [", "\x00", "x", "[]", "- a\n- b", "!!python/object:os.system {}", "{" * 2000,
     "a: &a [1]\nb: *c", "? {a: b}\n: c", "a: 1e999", "kind: List\nitems: 3", b"\xff\xfe\x00"],
)  # fmt: skip
def test_nonsense_is_refused(text: str | bytes):
    assert faults(text)


def test_a_bomb_of_aliases_is_refused_quickly():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    assert "more than" in faults("\n".join(lines))[0]


def test_requests_default_to_limits():
    resources = meaning.resources_of(meaning.template_of(parse(WEB)[0].full))

    assert resources.cpu_request_millis == resources.cpu_limit_millis == 500
    assert resources.memory_request_bytes == 64 << 20


def test_a_default_written_out_is_no_difference():
    explicit = WEB.replace("replicas: 3", "replicas: 3\n  minReadySeconds: 0\n  paused: false")

    assert parse(explicit)[0].full == parse(WEB)[0].full


def test_only_resources_leave_the_rollout_hash_alone():
    def digest(text: str) -> str:
        return meaning.rollout_hash(meaning.template_of(parse(text)[0].full))

    assert digest(WEB.replace("64Mi", "128Mi")) == digest(WEB)
    assert digest(WEB.replace("1.27", "1.28")) != digest(WEB)


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("localhost:5000/nginx", "Always"),
        ("nginx@sha256:abc", "IfNotPresent"),
        ("host", "IfNotPresent"),
        ("/srv/root", "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str):
    full = parse(WEB.replace("nginx:1.27", image))[0].full

    assert full["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize("word", list(OnFailure))
def test_the_annotation_says_what_happens_on_failure(word: str):
    text = WEB.replace(
        "name: web\nspec", f"name: web\n  annotations: {{kijabi.dev/on-failure: {word}}}\nspec"
    )

    assert meaning.spec_of(parse(text)[0].full).on_failure == word


@pytest.mark.parametrize(
    ("quantity", "millis"),
    [("500m", 500), ("2", 2000), (1, 1000), ("0.1", 100), ("1e1", 10000), ("1.0005", 1001)],
)
def test_cpu_quantities(quantity: object, millis: int):
    assert quantities.cpu_millis(quantity) == millis


@pytest.mark.parametrize(
    ("quantity", "size"),
    [("64Mi", 64 << 20), ("1G", 10**9), ("1.5Ki", 1536), ("128974848", 128974848), ("1e3", 1000)],
)
def test_memory_quantities(quantity: object, size: int):
    assert quantities.memory_bytes(quantity) == size


def test_a_merge_patch_removes_by_null():
    assert meaning.merge_patch({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": [3]}}) == {
        "a": {"c": 2, "d": [3]}
    }


def test_json_with_tabs_is_read():
    text = json.dumps(FROM_KUBECTL, indent="\t")

    assert parse(text)[0].name == "web"


def test_yaml_reads_back_as_it_was():
    full = parse(WEB)[0].full

    assert parse(meaning.to_yaml(full))[0].full == full


def test_the_reference_names_every_default():
    table = schema.reference_markdown()

    assert "| `spec.progressDeadlineSeconds` | integer | `600` |" in table
    assert "| `spec.template.spec.containers[].image` | string | required |" in table


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str):
    try:
        parse(text)
    except ManifestInvalid as refusal:
        assert refusal.problems  # noqa: PT017, it may also be accepted


_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["spec", "metadata", "name", "env", "x"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(_trees, st.sampled_from(["spec", "metadata", "kind", "apiVersion"]))
def test_any_value_in_any_place_is_read_or_refused(tree: object, key: str):
    try:
        from_object({**FROM_KUBECTL, key: tree})
    except ManifestInvalid as refusal:
        assert refusal.problems  # noqa: PT017, it may also be accepted


@given(_trees, st.sampled_from(["replicas", "template", "strategy", "selector", "paused"]))
def test_any_spec_is_read_or_refused(tree: object, key: str):
    try:
        from_object({**FROM_KUBECTL, "spec": {**FROM_KUBECTL["spec"], key: tree}})
    except ManifestInvalid as refusal:
        assert refusal.problems  # noqa: PT017, it may also be accepted
