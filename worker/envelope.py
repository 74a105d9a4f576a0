"""Letters between the control plane and a node: signed for one receiver, secrets sealed to it.

What is signed is the exact text that travels: `{"body": "<JSON>", "sig": …, "key": "<who signs>"}`.
Nothing of a letter is believed, or even parsed, before its signature holds.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.signing import SigningKey, VerifyKey

from worker import protocol

logger = logging.getLogger(__name__)

CONTROL = "control-plane"
# A letter outlives a restart and a short absence of its receiver; a job is sent anew after that.
LIVES_SECONDS = 600.0
# Clocks may differ by so much.
SKEW_SECONDS = 60.0
LARGEST_BODY = 16 * 1024 * 1024
LOG_EVERY_SECONDS = 10.0
# What does not go away by itself: somebody has to set a clock, upgrade, or join again.
LASTING = frozenset({"expired", "forged", "newer", "unreadable"})


class Refused(ValueError):
    """A message that is not acted on; `why` is one word to count by, the text is for people."""

    def __init__(self, why: str, message: str) -> None:
        super().__init__(message)
        self.why = why

    @classmethod
    def of(cls, error: Exception, what: str = "") -> Refused:
        """Return the refusal of what cannot be read."""
        why = "newer" if isinstance(error, protocol.NewerVersion) else "malformed"
        return cls(why, f"{what}: {error}" if what else str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One task for one receiver; `sealed` holds the values that `arguments` only point at."""

    sender: str
    audience: str
    task: str
    issued_at: float
    expires_at: float
    nonce: str
    arguments: dict[str, object]
    sealed: str = ""
    version: int = protocol.VERSION


def write(
    *,
    sender: str,
    audience: str,
    task: str,
    arguments: dict[str, object],
    now: float,
    sealed: str = "",
) -> Letter:
    """Return a fresh letter; `now` is seconds since the epoch."""
    return Letter(
        sender=sender,
        audience=audience,
        task=task,
        issued_at=now,
        expires_at=now + LIVES_SECONDS,
        nonce=secrets.token_hex(16),
        arguments=arguments,
        sealed=sealed,
    )


def sign(letter: Letter, key: SigningKey) -> dict[str, str]:
    """Return the envelope that travels."""
    body = json.dumps(protocol.to_wire(letter), separators=(",", ":"))
    signature = key.sign(body.encode()).signature
    return {"body": body, "sig": base64.b64encode(signature).decode(), "key": letter.sender}


def signer_of(envelope: object) -> str:
    """Return who an envelope claims to be from, to find the key it must be checked with.

    Raises:
        Refused: it is no envelope.
    """
    if not isinstance(envelope, dict):
        raise Refused("malformed", "a message came without an envelope")
    claimed = envelope.get("key")
    if not isinstance(claimed, str) or not 0 < len(claimed) <= 63:
        raise Refused("malformed", "an envelope does not say who signed it")
    return claimed


def open_letter(
    envelope: object, key: VerifyKey, *, audience: str, task: str, now: float
) -> Letter:
    """Return the letter, which is by the owner of the key, for this receiver, task and time.

    Raises:
        Refused: it is not.
    """
    sender = signer_of(envelope)
    letter = _read(_verified(envelope, key, sender), sender, audience)
    if letter.sender != sender or letter.audience != audience or letter.task != task:
        raise Refused(
            "re-addressed",
            f"a letter from {letter.sender} to {letter.audience} for {letter.task} was delivered "
            f"to {audience} for {task}",
        )
    if now > letter.expires_at + SKEW_SECONDS or now < letter.issued_at - SKEW_SECONDS:
        raise Refused("expired", _of_another_time(sender, audience, now - letter.issued_at))
    return letter


def with_arguments(letter: Letter, arguments: dict[str, object]) -> Letter:
    """Return the letter with its secrets in their places."""
    return replace(letter, arguments=arguments, sealed="")


def seal(values: list[object], receiver: PublicKey) -> str:
    """Return values that only the receiver can read; nothing for none."""
    if not values:
        return ""
    box = SealedBox(receiver).encrypt(json.dumps(values).encode())
    return base64.b64encode(box).decode()


def unseal(sealed: str, key: PrivateKey) -> list[object]:
    """Return the sealed values.

    Raises:
        Refused: they were sealed to another key, or are damaged.
    """
    if not sealed:
        return []
    try:
        values = json.loads(SealedBox(key).decrypt(base64.b64decode(sealed, validate=True)))
    except (CryptoError, ValueError) as error:
        raise Refused(
            "unreadable",
            "the secrets of a letter were sealed to another key: did this node join "
            "again, under the same name, elsewhere?",
        ) from error
    return values if isinstance(values, list) else []


def newer(sender: str, audience: str, error: protocol.NewerVersion) -> Refused:
    """Return the refusal of what only a later release can read, and who has to be upgraded."""
    reader = _named(audience)
    return Refused(
        "newer",
        f"{_named(sender)} speaks protocol version {error.version!r}, and {reader} understands no "
        f"more than {protocol.VERSION}; upgrade {reader} first",
    )


class Refusals:
    """Counts what is refused and says so now and then: whoever floods us must not fill the log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self._clock = clock
        self._lock = threading.Lock()
        self._quiet_until = float("-inf")
        self._latest: tuple[float, str] | None = None

    def lasting(self, seconds: float) -> str:
        """Return why messages were dropped in the latest seconds, if somebody has to do something.

        Empty if nothing was, or nothing of that kind.
        """
        with self._lock:
            if self._latest is None or self._clock() - self._latest[0] > seconds:
                return ""
            return self._latest[1]

    def note(self, refused: Refused) -> None:
        """Count one; say so at most once in a while."""
        with self._lock:
            self.counts[refused.why] += 1
            now = self._clock()
            if refused.why in LASTING:
                self._latest = (now, str(refused))
            if now < self._quiet_until:
                return
            self._quiet_until = now + LOG_EVERY_SECONDS
            told = ", ".join(f"{why} {n}" for why, n in sorted(self.counts.items()))
        logger.warning("A message was dropped: %s (dropped so far: %s)", refused, told)


def _verified(envelope: object, key: VerifyKey, sender: str) -> str:
    """Return the body once its signature holds."""
    parts = envelope if isinstance(envelope, dict) else {}
    body, signature = parts.get("body"), parts.get("sig")
    if not isinstance(body, str) or not isinstance(signature, str) or len(body) > LARGEST_BODY:
        raise Refused("malformed", "an envelope lacks its body or its signature")
    try:
        key.verify(body.encode(), base64.b64decode(signature, validate=True))
    except (CryptoError, binascii.Error, ValueError) as error:
        raise Refused("forged", f"a letter is not signed by {sender}, as it claims") from error
    return body


def _read(body: str, sender: str, audience: str) -> Letter:
    try:
        return protocol.from_wire(Letter, json.loads(body))
    except protocol.NewerVersion as error:
        raise newer(sender, audience, error) from error
    except (ValueError, RecursionError) as error:
        raise Refused.of(error) from error


def _of_another_time(sender: str, audience: str, age: float) -> str:
    if age < 0:
        return (
            f"the clock of {_named(sender)} is {-age:.0f} s ahead of that of {_named(audience)}; "
            "set the one that is wrong (NTP)"
        )
    return (
        f"a letter from {_named(sender)} was signed {age:.0f} s ago by the clock of "
        f"{_named(audience)}; if this goes on, the clocks differ by that much; set the one that is "
        "wrong (NTP)"
    )


def _named(who: str) -> str:
    return "the control plane" if who == CONTROL else f"node {who}"
