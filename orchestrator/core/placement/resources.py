"""How much cpu and memory each node has left while one pass hands out replicas.

Invariant: what is reserved here never goes beyond what a node has stated as its capacity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.core.placement.objections import Effort, Objection
from orchestrator.core.snapshot import NodeView
from orchestrator.core.spec import Amounts
from orchestrator.core.wording import cores, memory


def share(reserved: Amounts, capacity: Amounts) -> int:
    """Return how full something is, in thousandths: the mean over what its capacity states."""
    shares = [
        part * 1000 // whole
        for part, whole in (
            (reserved.cpu_millis, capacity.cpu_millis),
            (reserved.memory_bytes, capacity.memory_bytes),
        )
        if whole
    ]
    return sum(shares) // len(shares) if shares else 0


class Ledger:
    """The reservations of every node, with those this pass has added."""

    def __init__(self, nodes: Sequence[NodeView]) -> None:
        self._capacity = {node.name: node.capacity for node in nodes}
        self._reserved = {node.name: node.reserved for node in nodes}

    def fits(self, node: str, asked: Amounts) -> bool:
        """Tell whether a node has so much left."""
        return not any(self._shortages(node, asked))

    def reserve(self, node: str, asked: Amounts) -> None:
        """Take so much from what a node has left."""
        self._reserved[node] += asked

    def allocated(self, node: str) -> int:
        """Return how full a node is, in thousandths: the mean over what it has stated."""
        return share(self._reserved[node], self._capacity[node])

    def objections(self, node: str, asked: Amounts) -> Iterator[Objection]:
        """Yield what is short on a node."""
        for what, wanted, left in self._shortages(node, asked):
            in_words = cores if what == "cpu" else memory
            asks, has = in_words(wanted), in_words(left)
            less, later = f"with {what} ≤ {has}", f"once {asks} of {what} are free there"
            yield Objection(
                singular=f"has {has} of {what} left and {asks} are requested",
                plural=f"have too little {what} left for {asks}",
                remedy=less if left else later,
                effort=Effort.LESS if left else Effort.MOVE_OTHERS,
                lacking=1 - left / wanted,
            )

    def _shortages(self, node: str, asked: Amounts) -> Iterator[tuple[str, int, int]]:
        """Yield what, how much is wanted, and how much is left, where that is too little.

        What is not asked for is never short: a node may have been filled before it shrank.
        """
        capacity, reserved = self._capacity[node], self._reserved[node]
        left = capacity.cpu_millis - reserved.cpu_millis
        if capacity.cpu_millis and asked.cpu_millis > 0 and left < asked.cpu_millis:
            yield "cpu", asked.cpu_millis, max(0, left)
        left = capacity.memory_bytes - reserved.memory_bytes
        if capacity.memory_bytes and asked.memory_bytes > 0 and left < asked.memory_bytes:
            yield "memory", asked.memory_bytes, max(0, left)
