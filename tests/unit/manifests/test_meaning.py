"""What a manifest means, how it is changed, and how it is shown."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.spec import DeploymentSpec, OnFailure, Resources, Strategy, UpdatePolicy
from orchestrator.manifests import deployment as meaning
from orchestrator.manifests import quantities
from tests.unit.manifests.samples import WEB, only


def template_of(text: str) -> dict[str, Any]:
    return meaning.template_of(only(text).full)


def with_spec(extra: str) -> str:
    return WEB.replace("  replicas: 3\n", f"  replicas: 3\n  {extra}\n")


def test_the_planner_gets_counts_for_percentages():
    spec = meaning.spec_of(only(WEB).full)

    assert spec == DeploymentSpec(
        replicas=3, policy=UpdatePolicy(max_surge=1, max_unavailable=0), paused=False
    )


@pytest.mark.parametrize(
    ("strategy", "policy"),
    [
        (
            "strategy: {rollingUpdate: {maxSurge: 2, maxUnavailable: 50%}}",
            UpdatePolicy(max_surge=2, max_unavailable=1),
        ),
        (
            "strategy: {rollingUpdate: {maxSurge: 0}}",
            UpdatePolicy(max_surge=0, max_unavailable=1),
        ),
        (
            "strategy: {type: Recreate}",
            UpdatePolicy(strategy=Strategy.RECREATE, max_surge=0, max_unavailable=3),
        ),
    ],
)
def test_the_strategy_becomes_bounds(strategy: str, policy: UpdatePolicy):
    assert meaning.spec_of(only(with_spec(strategy)).full).policy == policy


def test_the_planner_gets_every_number_that_was_written():
    text = with_spec(
        "minReadySeconds: 5\n  progressDeadlineSeconds: 60\n"
        "  revisionHistoryLimit: 2\n  paused: true"
    )

    spec = meaning.spec_of(only(text).full)

    assert (spec.min_ready_seconds, spec.progress_deadline_seconds) == (5, 60)
    assert (spec.revision_history_limit, spec.paused) == (2, True)


@pytest.mark.parametrize("word", list(OnFailure))
def test_the_annotation_says_what_happens_on_failure(word: str):
    text = WEB.replace(
        "name: web\nspec", f"name: web\n  annotations: {{kijabi.dev/on-failure: {word}}}\nspec"
    )

    assert meaning.spec_of(only(text).full).on_failure == word


def test_resources_are_counted_in_thousandths_and_bytes():
    assert meaning.resources_of(template_of(WEB)) == Resources(
        cpu_limit_millis=500,
        memory_limit_bytes=64 << 20,
        cpu_request_millis=500,
        memory_request_bytes=64 << 20,
    )


def test_nothing_asked_for_is_nothing_reserved():
    assert meaning.resources_of(template_of(WEB.replace("resources:", "#"))) == Resources()


def test_where_and_with_what_a_replica_runs():
    placed = "    spec:\n      nodeSelector: {b: '2', a: '1'}\n      runtimeClassName: sandbox\n"
    template = template_of(WEB.replace("    spec:\n", placed))

    assert meaning.node_selector_of(template) == (("a", "1"), ("b", "2"))
    assert meaning.runtime_class_of(template) == "sandbox"
    assert meaning.image_of(template) == "nginx:1.27"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("64Mi", "128Mi", id="limits-are-changed-in-place"),
        pytest.param("        resources:", "        #", id="so-are-missing-limits"),
        pytest.param("replicas: 3", "replicas: 5", id="scaling-is-no-rollout"),
        pytest.param("    spec:\n", "    spec:\n      dnsPolicy: ClusterFirst\n", id="no-effect"),
        pytest.param("nginx:1.27", "nginx:1.27\n        args: []", id="an-empty-list"),
        pytest.param("    spec:\n", "    spec:\n      nodeSelector: {}\n", id="an-empty-map"),
        pytest.param("containerPort: 80,", "protocol: TCP, containerPort: 80,", id="order"),
    ],
)
def test_what_needs_no_new_container_keeps_the_rollout_hash(old: str, new: str):
    changed = template_of(WEB.replace(old, new))

    assert meaning.rollout_hash(changed) == meaning.rollout_hash(template_of(WEB))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.27", "1.28"),
        ("nginx:1.27", "nginx:1.27\n        args: ['']"),
        ("nginx:1.27", "nginx:1.27\n        env: [{name: A}]"),
        ("    spec:\n", "    metadata: {annotations: {a: b}}\n    spec:\n"),
        ("    spec:\n", "    spec:\n      terminationGracePeriodSeconds: 5\n"),
        ("{port: http}", "{port: 80}"),
    ],
)
def test_what_needs_new_containers_changes_the_rollout_hash(old: str, new: str):
    changed = template_of(WEB.replace(old, new))

    assert meaning.rollout_hash(changed) != meaning.rollout_hash(template_of(WEB))


def test_a_restart_stamps_the_template_as_kubectl_does():
    written = only(WEB).written

    stamped = meaning.with_restart(written, "2026-01-01T00:00:00Z")

    assert stamped["spec"]["template"]["metadata"]["annotations"] == {
        "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"
    }
    assert "metadata" not in written["spec"]["template"]


def test_scaling_changes_one_number():
    written = only(WEB).written

    scaled = meaning.with_replicas(written, 7)

    assert written["spec"]["replicas"] == 3
    assert meaning.summarise_change(written, scaled) == "spec.replicas 3 → 7"


def test_another_template_brings_a_selector_that_fits():
    written = only(with_spec("selector: {matchLabels: {app: web}}")).written
    template = {"metadata": {"labels": {"app": "old"}}, "spec": {"containers": []}}

    changed = meaning.with_template(written, template)

    assert changed["spec"]["template"] == template
    assert changed["spec"]["selector"] == {"matchLabels": {"app": "old"}}


# The examples of RFC 7396, appendix A.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_the_standard_says(target: Any, patch: Any, result: Any):
    assert meaning.merge_patch(target, patch) == result


def test_a_diff_shows_the_line_that_changed():
    before = only(WEB).written

    diff = meaning.diff_lines(before, meaning.with_replicas(before, 4)).splitlines()

    changed = [line for line in diff if line[0] in "+-" and line[:3] not in {"+++", "---"}]
    assert changed == ["-  replicas: 3", "+  replicas: 4"]
    assert meaning.diff_lines(before, before) == ""


def test_a_diff_does_not_mind_the_order_of_keys():
    before = only(WEB).written

    assert meaning.diff_lines(before, dict(reversed(before.items()))) == ""


def test_amounts_are_the_same_however_they_are_spelt():
    assert quantities.parse("0.5") == quantities.parse("500m")
