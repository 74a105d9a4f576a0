"""How often who drains is looked at, and what is believed in between."""

from __future__ import annotations

import pytest

from worker.gateway.drains import FIRST_SECONDS, MOST_SECONDS, Drains
from worker.gateway.live import LivePort, LiveService, Target
from worker.gateway.rotation import View


class Node:
    """A clock, and who is busy on a node; it counts the looks at that."""

    def __init__(self) -> None:
        self.now, self.busy, self.looks = 100.0, frozenset[str](), 0
        self.drains = Drains(lambda: self.now)

    def ask(self, *draining: str, afresh: bool = False) -> frozenset[str]:
        targets = tuple(Target(replica=name, address="10.5.0.2", port=80) for name in draining)
        port = LivePort(port=80, draining=targets)
        view = View(services={"s": LiveService(namespace="n", name="s", ports=(port,))})
        return self.drains.busy(view, [self._look, lambda view: frozenset()], afresh=afresh)

    def _look(self, view: View) -> frozenset[str]:
        del view
        self.looks += 1
        return self.busy


@pytest.fixture
def node() -> Node:
    return Node()


def test_nobody_is_looked_at_while_nobody_drains(node: Node):
    assert node.ask() == frozenset()
    assert (node.looks, node.drains.wait) == (0, None)


def test_whoever_begins_to_drain_is_looked_at_at_once(node: Node):
    node.busy = frozenset({"a", "b"})

    first = node.ask("a")
    second = node.ask("a", "b")

    assert (first, second, node.looks) == ({"a"}, {"a", "b"}, 2)
    assert node.drains.wait == pytest.approx(FIRST_SECONDS)


def test_between_looks_the_latest_counts(node: Node):
    node.busy = frozenset({"a"})
    node.ask("a")
    node.busy = frozenset()
    node.now += FIRST_SECONDS / 2

    early = node.ask("a")
    node.now += FIRST_SECONDS
    late = node.ask("a")

    assert (early, late, node.looks) == ({"a"}, frozenset(), 2)


def test_what_is_newly_in_force_is_looked_at_at_once(node: Node):
    before = node.ask("a")
    node.busy = frozenset({"a"})

    assert (before, node.ask("a", afresh=True)) == (frozenset(), {"a"})


def test_who_drains_for_long_is_looked_at_ever_less_often(node: Node):
    waits = []
    for _ in range(6):
        node.ask("a")
        waits.append(round(node.drains.wait or 0.0, 3))
        node.now += node.drains.wait or 0.0

    assert waits[0] == FIRST_SECONDS
    assert waits == sorted(waits)
    assert waits[-1] == MOST_SECONDS


def test_who_has_gone_is_not_busy(node: Node):
    node.busy = frozenset({"a"})
    node.ask("a")

    assert node.ask() == frozenset()
    assert node.drains.wait is None
