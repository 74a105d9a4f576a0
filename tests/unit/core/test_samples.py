"""What was measured, thinned out and added up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.core import samples

FIRST = [100, 10, None, None, 0, 500, 64]
LATER = [201, 30, 5, None, 2, 400, None]


def test_a_mean_is_of_what_is_used_and_the_latest_of_the_rest():
    assert samples.mean([FIRST, LATER]) == [150, 20, 5, None, 2, 400, 64]


def test_a_total_counts_what_is_known():
    assert samples.total([FIRST, LATER]) == [301, 40, 5, None, 2, 900, 64]
    assert samples.total([]) == [None] * 7


def test_blocks_are_thinned_replica_by_replica():
    early = samples.block([10, 1], {"a": (7, FIRST), "gone": (7, FIRST)})
    late = samples.block([30, 3], {"a": (7, LATER)})

    thin = samples.thinned([early, late])

    assert samples.node_of(thin)[:2] == [20, 2]
    assert samples.replicas_of(thin) == {
        "a": (7, samples.mean([FIRST, LATER])),
        "gone": (7, FIRST),
    }


def test_a_block_of_an_earlier_release_may_know_fewer_fields():
    assert samples.mean([[1, 2], FIRST]) == [50, 6, None, None, 0, 500, 64]


@pytest.mark.parametrize(
    ("second", "end"),
    [pytest.param(1, 60, id="inside"), pytest.param(60, 60, id="an-end-ends-its-own")],
)
def test_a_period_ends_at_a_whole_multiple(second, end):
    at = datetime.fromtimestamp(1_800_000_000 + second, tz=UTC)

    assert samples.end_of_period(at, 60).timestamp() == 1_800_000_000 + end


def test_the_rows_of_a_node_are_bounded():
    assert samples.most_rows() == 450 + 240 + 144
