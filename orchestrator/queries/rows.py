"""Lazy lists of read models: counted and sliced in the database, then read row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db.models import QuerySet

Record = TypeVar("Record")


class Rows(Generic[Record]):
    """What a filter found; a slice of it costs one query, its count another."""

    # Every queryset here is ordered; Django's paginator asks.
    ordered = True

    def __init__(self, rows: QuerySet[Any], read: Callable[[Any], Record]) -> None:
        self._rows = rows
        self._read = read

    def count(self) -> int:
        """Return how many rows match."""
        return self._rows.count()

    def __getitem__(self, wanted: slice) -> list[Record]:
        """Return the read models of a slice."""
        return [self._read(row) for row in self._rows[wanted]]

    def first(self) -> Record | None:
        """Return the first read model, or None."""
        return next(iter(self[:1]), None)
