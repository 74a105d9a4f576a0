"""Who a node is: its name and keys, and how it reaches and recognizes its control plane.

Kept in one file that only its owner may read (mode 0600).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nacl.encoding import HexEncoder
from nacl.public import PrivateKey, PublicKey
from nacl.signing import SigningKey, VerifyKey

FILE = "identity.json"


class NoIdentity(ValueError):
    """The node has none, or it cannot be read; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A node's own keys, in hexadecimal: one signs its reports, one opens what is sealed to it."""

    signing: str
    sealing: str

    @classmethod
    def make(cls) -> Keys:
        """Return fresh keys."""
        signing = SigningKey.generate().encode(HexEncoder).decode()
        return cls(signing=signing, sealing=PrivateKey.generate().encode(HexEncoder).decode())

    @property
    def signing_key(self) -> SigningKey:
        """Return the key that signs."""
        return SigningKey(self.signing.encode(), HexEncoder)

    @property
    def sealing_key(self) -> PrivateKey:
        """Return the key that opens."""
        return PrivateKey(self.sealing.encode(), HexEncoder)

    @property
    def public(self) -> tuple[str, str]:
        """Return what others may know: the keys that check, and that seal."""
        check = self.signing_key.verify_key.encode(HexEncoder).decode()
        return check, self.sealing_key.public_key.encode(HexEncoder).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a node received when it joined; `server` is empty on the control plane's own machine."""

    node: str
    cluster: str
    broker: str
    control_key: str
    keys: Keys
    server: str = ""

    def save(self, path: Path) -> None:
        """Keep it in a file that nobody else may read; whoever reads sees all of it or none."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file)
        draft.replace(path)

    @classmethod
    def load(cls, path: Path) -> Identity:
        """Read it; what a later release has added is ignored.

        Raises:
            NoIdentity: there is none, or the file is damaged.
        """
        try:
            found = json.loads(path.read_text())
            keys = Keys(**found.pop("keys"))
            known = {field.name for field in fields(cls)} - {"keys"}
            identity = cls(keys=keys, **{k: v for k, v in found.items() if k in known})
            verify_key(identity.control_key)
            _ = keys.public
        except FileNotFoundError:
            raise NoIdentity(
                f"there is no {path}: this node has not joined, or its state folder was removed; "
                "run `manage.py node join URL --token …` with a token from the dashboard's page of "
                "nodes"
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NoIdentity(f"{path} is damaged ({error}); join again with a new token") from error
        return identity


def path_in(home: Path, node: str) -> Path:
    """Return where a node's identity is kept."""
    return home / "nodes" / node / FILE


def verify_key(text: str) -> VerifyKey:
    """Return the key that checks signatures.

    Raises:
        ValueError: it is none.
    """
    return VerifyKey(bytes.fromhex(text))


def public_key(text: str) -> PublicKey:
    """Return the key to seal to.

    Raises:
        ValueError: it is none.
    """
    return PublicKey(bytes.fromhex(text))
