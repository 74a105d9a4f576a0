"""Give database connections back before a long wait: a waiting request must not hold one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

Words = ParamSpec("Words")
Answer = TypeVar("Answer")


def give_back() -> None:
    """Close this thread's connections, except within a transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


async def borrowed(
    call: Callable[Words, Answer], *arguments: Words.args, **options: Words.kwargs
) -> Answer:
    """Call something that uses the database, and give its connection back at once."""

    def work() -> Answer:
        try:
            return call(*arguments, **options)
        finally:
            give_back()

    return await sync_to_async(work)()
