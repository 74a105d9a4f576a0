"""`-o yaml`: whatever the API may answer reads back as it was."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.cli import yaml_form

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20
)


@given(VALUES)
@example(["2026-11-23", "12:30:45", "0x1f", "1e3", "~", "=", "<<", "a: b", "a #b", "- a", "No", ""])
@example([[[1], []], {"a": [{"b": {}}]}, {"a": {"c": None}}])
def test_what_is_written_reads_back(value: object):
    assert yaml.safe_load(yaml_form.dump(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"name": "web", "ready": 3}, "name: web\nready: 3"),
        ({"a": [{"b": 1, "c": "x y"}]}, "a:\n- b: 1\n  c: x y"),
        ({"image": "nginx:1.27", "on": "yes"}, 'image: nginx:1.27\n"on": "yes"'),
        ({"at": datetime(2026, 1, 2, tzinfo=UTC).isoformat()}, 'at: "2026-01-02T00:00:00+00:00"'),
        ([], "[]"),
    ],
)
def test_it_looks_as_people_write_it(value: object, text: str):
    assert yaml_form.dump(value) == text
