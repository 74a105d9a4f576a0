"""Lazy lists of read models: counted and sliced in the database, then read row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db.models import QuerySet

Record = TypeVar("Record")


class Rows(Generic[Record]):
    """What a filter found; a slice of it costs one query, its count another.

    `complete` makes the read models of a whole slice, for those that need more queries.
    """

    # Every queryset here is ordered; Django's paginator asks.
    ordered = True

    def __init__(
        self,
        rows: QuerySet[Any],
        read: Callable[[Any], Record] | None = None,
        *,
        complete: Callable[[list[Any]], list[Record]] | None = None,
    ) -> None:
        self._rows = rows
        self._read = read
        self._complete = complete

    def count(self) -> int:
        """Return how many rows match."""
        return self._rows.count()

    def __getitem__(self, wanted: slice) -> list[Record]:
        """Return the read models of a slice."""
        found = list(self._rows[wanted])
        if self._complete is not None:
            return self._complete(found)
        assert self._read is not None  # noqa: S101, one of both is given
        return [self._read(row) for row in found]

    def first(self) -> Record | None:
        """Return the first read model, or None."""
        return next(iter(self[:1]), None)
