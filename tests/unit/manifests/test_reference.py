"""The README's manifest reference is the table that validates."""

from pathlib import Path

import pytest

from orchestrator.manifests.autoscaling import AUTOSCALER
from orchestrator.manifests.reference import reference_markdown
from orchestrator.manifests.schema import DEPLOYMENT

README = Path(__file__).resolve().parents[3] / "README.md"


@pytest.mark.parametrize("schema", [DEPLOYMENT, AUTOSCALER], ids=["deployment", "autoscaler"])
def test_the_readme_shows_the_tables_as_they_are(schema):
    assert reference_markdown(schema).rstrip() in README.read_text()


@pytest.mark.parametrize(
    "row",
    [
        "| `spec.progressDeadlineSeconds` | integer | `600` |",
        "| `spec.paused` | boolean | `false` |",
        "| `spec.strategy.rollingUpdate.maxSurge` | integer or percentage | `25%` |",
        "| `spec.template.spec.containers[].image` | string | required |",
        '| `spec.template.spec.containers[].env[].value` | string | `""` |',
        "`dnsPolicy: \"ClusterFirst\"`",
    ],
)  # fmt: skip
def test_the_reference_tells_defaults(row: str):
    assert row in reference_markdown()


def test_every_field_says_what_it_means():
    rows = [line for line in reference_markdown().splitlines() if line.startswith("| `")]

    assert len(rows) > 60
    assert not [row for row in rows if row.endswith("|  |")]
