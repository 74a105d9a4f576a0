"""Questions to a name server of this machine."""

from __future__ import annotations

import dns.message
import dns.query


def ask(port: int, name: str, kind: str = "A", *, stream: bool = False) -> list[str]:
    """Return the records that are the answer, in order."""
    message = dns.message.make_query(name, kind)
    how = dns.query.tcp if stream else dns.query.udp
    answer = how(message, "127.0.0.1", timeout=3, port=port)
    return sorted(str(item) for rrset in answer.answer for item in rrset)
