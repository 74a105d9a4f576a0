"""Fetch an image without being bound to it: a pull that nobody needs any more is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable

from worker.protocol import ContainerSpec
from worker.runtimes.base import ContainerRuntime


class _Abandoned(Exception):
    """Ends an abandoned pull at its next word of progress."""


class Pull:
    """One pull in a thread of its own; `abandon` lets the waiting pass go on at once."""

    def __init__(self, runtime: ContainerRuntime, container: ContainerSpec) -> None:
        self._runtime = runtime
        self._container = container
        self._wake = threading.Event()
        self._abandoned = False
        self._error: BaseException | None = None

    def run(self, tell: Callable[[str], None]) -> bool:
        """Wait for the image; return False when the pull was abandoned.

        Raises:
            RuntimeFailure: the image cannot be had.
        """
        name = f"pull-{self._container.image}"
        threading.Thread(target=self._work, args=(tell,), name=name, daemon=True).start()
        self._wake.wait()
        if self._abandoned:
            return False
        if self._error is not None:
            raise self._error
        return True

    def abandon(self) -> None:
        """Stop waiting. A registry that does not answer must not hold up a stop job."""
        self._abandoned = True
        self._wake.set()

    def _work(self, tell: Callable[[str], None]) -> None:
        def on_progress(sentence: str) -> None:
            if self._abandoned:
                raise _Abandoned
            tell(sentence)

        try:
            self._runtime.pull(self._container, on_progress)
        except _Abandoned:
            return
        # Whatever it is, it belongs to the pass that waits: `run` raises it there.
        except BaseException as error:  # noqa: BLE001
            self._error = error
        finally:
            self._wake.set()
