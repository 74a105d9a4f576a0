"""nftables' own library in this process: a small change takes it less than a millisecond.

The program `nft` is the same library with a process around it, which costs twenty times as much.
Its interface is libnftables(3).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

# The version of its interface that we speak; Debian's nftables depends on it.
_FILE = "libnftables.so.1"
_Run = Callable[[str], str]


@cache
def load() -> _Run | None:
    """Return what carries out a text and says what went wrong; None where it is not installed."""
    try:
        library = ctypes.CDLL(_FILE)
        return _runner(library)
    except (OSError, AttributeError):
        return None


def _runner(library: ctypes.CDLL) -> _Run:
    make, free, execute = library.nft_ctx_new, library.nft_ctx_free, library.nft_run_cmd_from_buffer
    keep_said, said = library.nft_ctx_buffer_error, library.nft_ctx_get_error_buffer
    keep_output = library.nft_ctx_buffer_output
    make.restype, make.argtypes = ctypes.c_void_p, [ctypes.c_uint32]
    free.restype, execute.argtypes = None, [ctypes.c_void_p, ctypes.c_char_p]
    said.restype = ctypes.c_char_p
    for one in (free, keep_said, keep_output, said):
        one.argtypes = [ctypes.c_void_p]

    def run(text: str) -> str:
        # Made anew each time: it belongs to the network namespace of the thread that made it.
        context = make(0)
        try:
            keep_said(context)
            keep_output(context)
            if not execute(context, text.encode()):
                return ""
            return str((said(context) or b"").decode(errors="replace")) or "it said nothing"
        finally:
            free(context)

    return run
