from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import cluster as clusters


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path) -> Iterator[clusters.Cluster]:
    with clusters.running(tmp_path) as running:
        yield running
