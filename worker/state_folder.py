"""Look after the node's own state folder: what is deleted while the node runs is written anew.

The running node knows what it was given and who it is; a node that starts again would not.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from worker.assignments import Assignment, AssignmentStore, NotKept
from worker.identity import Identity

logger = logging.getLogger(__name__)

# How long a node goes on saying that its state folder was deleted.
TOLD_SECONDS = 600.0


class StateFolder:
    """The folder with a node's identity and list of assignments."""

    def __init__(
        self,
        identity_file: Path,
        identity: Identity,
        store: AssignmentStore,
        assignments: Callable[[], Iterable[Assignment]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._identity_file = identity_file
        self._was_joined = identity_file.exists()
        self._identity = identity
        self._store = store
        self._assignments = assignments
        self._clock = clock
        self._trouble = ""
        self._renewed_at: float | None = None

    def look(self) -> tuple[str, ...]:
        """Write anew what is gone; return what people should know, for the notes of the node."""
        try:
            if self._renew():
                self._renewed_at = self._clock()
                logger.warning("%s", self._story())
            self._trouble = ""
        except OSError as error:
            self._fail(error)
        if self._store.trouble:
            with contextlib.suppress(NotKept):
                self._store.check()
        notes = [self._trouble or self._store.trouble]
        if self._renewed_at is not None and self._clock() - self._renewed_at < TOLD_SECONDS:
            notes.append(self._story())
        return tuple(filter(None, notes))

    def _renew(self) -> bool:
        is_store_gone = self._store.is_gone
        is_identity_gone = self._was_joined and not self._identity_file.exists()
        if is_store_gone:
            self._store.renew(self._assignments())
        if is_identity_gone:
            self._identity.save(self._identity_file)
        return is_store_gone or is_identity_gone

    def _fail(self, error: OSError) -> None:
        trouble = (
            f"the state folder {self._identity_file.parent} was deleted while the node ran and "
            f"cannot be written anew ({error.strerror or error}); make it possible before the node "
            "is started again, or it has to join again"
        )
        if trouble != self._trouble:
            logger.error("%s", trouble)
        self._trouble = trouble

    def _story(self) -> str:
        at = datetime.fromtimestamp(self._renewed_at or 0.0, UTC)
        return (
            f"files of the state folder {self._identity_file.parent} were deleted while the node "
            f"ran; at {at:%H:%M:%S} UTC it wrote down anew who it is and what it was given; older "
            "logs are lost, and a sandbox whose folder is gone is started anew"
        )
