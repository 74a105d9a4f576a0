"""YAML that people read, and that every reader of YAML takes for the same thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.manifests import deployment as meaning
from orchestrator.manifests import documents
from tests.unit.manifests.samples import WEB, only


def test_a_manifest_is_shown_in_blocks_and_in_its_order():
    shown = meaning.to_yaml(only(WEB).written)

    assert shown.startswith("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:")
    assert "{" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("yes", "'yes'"), ("1", "'1'"), ("1:30", "'1:30'"), ("2026-01-31", "'2026-01-31'"),
        ("", "''"), ("null", "'null'"), ("0o7", "'0o7'"), ("1e3", "'1e3'"), ("y", "'y'"),
        ("1.27", "'1.27'"), ("500m", "500m"), ("25%", "25%"), ("nginx:1.27", "nginx:1.27"),
    ],
)  # fmt: skip
def test_a_string_that_looks_like_something_else_is_quoted(text: str, shown: str):
    assert meaning.to_yaml({"a": text}) == f"a: {shown}\n"


def test_a_script_is_shown_as_lines():
    assert meaning.to_yaml({"args": ["set -e\n\nexec httpd\n"]}) == (
        "args:\n- |\n  set -e\n\n  exec httpd\n"
    )


def test_a_value_used_twice_is_written_twice():
    labels = {"app": "web"}

    assert meaning.to_yaml({"a": labels, "b": labels}) == "a:\n  app: web\nb:\n  app: web\n"


_characters = st.characters(exclude_characters="\x00", exclude_categories=("Cs",))
_strings = st.text(_characters, max_size=30) | st.text("ab \n:#-'\"|>1e.\t", max_size=30)
_trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _strings,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_strings, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(_strings, _trees, min_size=1, max_size=4))
def test_anything_shown_reads_back_as_it_was(tree: dict[str, object]):
    (found,) = documents.load(meaning.to_yaml(tree))

    assert found.value == tree
