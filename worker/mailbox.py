"""A node's letters: those from its control plane are opened, once each; its reports are signed.

A letter that was taken is remembered on disk until it expires, so that one recorded and played
again (an old stop after a newer start, say) does nothing, also after a restart of the node. It is
noted after it was acted on: one that is delivered again because the node died over it is not lost.
"""

from __future__ import annotations

from collections.abc import Callable

from worker import envelope, protocol, sealing
from worker.assignments import AssignmentStore
from worker.envelope import CONTROL, SKEW_SECONDS, Letter, Refusals, Refused
from worker.identity import Identity, verify_key

# Answered as often as they come: they change nothing, and writing each down would cost more.
_HARMLESS = frozenset({protocol.PING_TASK})


class Mailbox:
    """Opens and signs; safe for many threads. `clock` is seconds since the epoch."""

    def __init__(
        self, identity: Identity, store: AssignmentStore, clock: Callable[[], float]
    ) -> None:
        self._name = identity.node
        self._control_key = verify_key(identity.control_key)
        self._signing = identity.keys.signing_key
        self._sealing = identity.keys.sealing_key
        self._store = store
        self._clock = clock
        self.refusals = Refusals()

    def open(self, task: str, wire: object) -> Letter | None:
        """Return a letter with its secrets in their places; None when it is not to be acted on."""
        try:
            return self._opened(task, wire)
        except Refused as refused:
            self.refusals.note(refused)
            return None

    def note_taken(self, letter: Letter) -> None:
        """Remember that a letter was acted on."""
        if letter.task not in _HARMLESS:
            until = letter.expires_at + SKEW_SECONDS
            self._store.note_taken(letter.nonce, until, now=self._clock())

    def sign_report(self, report: dict[str, object]) -> dict[str, str]:
        """Return the envelope of a report."""
        return self._sign(protocol.REPORT_TASK, {"report": report})

    def sign_answer(self, token: str) -> dict[str, str]:
        """Return the envelope of an answer to a ping."""
        return self._sign(protocol.PING_TASK, {"token": token})

    def _sign(self, task: str, arguments: dict[str, object]) -> dict[str, str]:
        letter = envelope.write(
            sender=self._name,
            audience=CONTROL,
            task=task,
            arguments=arguments,
            now=self._clock(),
        )
        return envelope.sign(letter, self._signing)

    def _opened(self, task: str, wire: object) -> Letter:
        letter = envelope.open_letter(
            wire, self._control_key, audience=self._name, task=task, now=self._clock()
        )
        if letter.sender != CONTROL:
            raise Refused("forged", f"a letter is from {letter.sender}, not the control plane")
        if task not in _HARMLESS and self._store.has_taken(letter.nonce):
            raise Refused("replayed", f"a letter for {task} was taken before")
        try:
            values = envelope.unseal(letter.sealed, self._sealing)
            arguments = sealing.reveal(task, letter.arguments, values)
        except protocol.MalformedMessage as error:
            raise Refused.of(error) from error
        return envelope.with_arguments(letter, arguments)
