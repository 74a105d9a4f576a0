"""Seal keys for the database, and open them again for the nodes that need them."""

from __future__ import annotations

import hashlib
from functools import cache

from django.conf import settings
from nacl.encoding import Base64Encoder
from nacl.secret import SecretBox


def seal(key: str) -> str:
    """Return a key as the database keeps it."""
    return _box().encrypt(key.encode(), encoder=Base64Encoder).decode()


def opened(sealed: str) -> str:
    """Return a key in the open, for a message that is sealed for a node."""
    return _box().decrypt(sealed.encode(), encoder=Base64Encoder).decode()


def digest(text: str) -> str:
    """Return what tells one secret text from another.

    Nobody without our key can try out guesses against it.
    """
    return hashlib.blake2b(text.encode(), key=_key(), digest_size=32).hexdigest()


@cache
def _box() -> SecretBox:
    return SecretBox(_key())


def _key() -> bytes:
    return bytes.fromhex(settings.SECRETS_KEY)
