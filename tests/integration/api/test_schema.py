"""The OpenAPI document: whole, without warnings, and as reviewed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command

from orchestrator.api import permissions, urls

# A machine that joins has nothing but its token.
JOIN = "node-join"
GOLDEN = Path(__file__).parents[2] / "golden" / "openapi.yaml"


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("schema") / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(path))
    return path.read_text(encoding="utf-8")


def test_the_document_is_as_reviewed(text: str):
    if os.environ.get("KIJABI_REWRITE_GOLDEN") == "1":
        GOLDEN.write_text(text, encoding="utf-8")

    assert text == GOLDEN.read_text(encoding="utf-8")


def test_every_address_is_described(text: str):
    described = yaml.safe_load(text)["paths"]

    written = {
        "/api/" + str(pattern.pattern).replace("<str:", "{").replace("<int:", "{").replace(">", "}")
        for pattern in urls.urlpatterns
        if pattern.name in {*permissions.TABLE, JOIN}
    }
    assert {path.replace("{id}", "{pk}") for path in described} == written


def test_every_operation_says_what_a_problem_looks_like(text: str):
    operations = [
        operation for path in yaml.safe_load(text)["paths"].values() for operation in path.values()
    ]
    open_to_all = [item["operationId"] for item in operations if not item.get("security")]

    assert all("default" in operation["responses"] for operation in operations)
    assert open_to_all == ["nodes_join_create"]
