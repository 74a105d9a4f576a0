"""The README's manifest reference is the table that validates."""

from pathlib import Path

from orchestrator.manifests.schema import reference_markdown

README = Path(__file__).resolve().parents[3] / "README.md"


def test_the_readme_shows_the_table_as_it_is():
    assert reference_markdown().rstrip() in README.read_text()
