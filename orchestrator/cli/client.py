"""HTTP with the API: address, token, errors as sentences."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 30
DEFAULT_SERVER = "http://127.0.0.1:8000"


class Refused(Exception):
    """The API did not do what was asked; the message says why, for a person."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """Speaks to one server with one token."""

    def __init__(self, home: Path) -> None:
        self.server = os.environ.get("KIJABI_SERVER") or _read(home / "run/server")
        self.server = (self.server or DEFAULT_SERVER).rstrip("/")
        self._token = os.environ.get("KIJABI_TOKEN") or _read(home / "admin-token")

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        kind: str = "application/json",
    ) -> Any:
        """Return the decoded answer (text, when it is not JSON).

        Raises:
            Refused: the server cannot be reached, or says no.
        """
        with self._open(method, path, query or {}, body, kind) as answer:
            text = answer.read().decode()
        if not text:
            return None
        is_json = "json" in answer.headers.get("Content-Type", "")
        return json.loads(text) if is_json else text

    def pages(self, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the rows of every page of a list."""
        page = 1
        while True:
            answer = self.call("GET", path, query={**query, "page": page, "page_size": 500})
            yield from answer["results"]
            if not answer["next"]:
                return
            page += 1

    def stream(self, path: str, query: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield an answer piece by piece, as it comes."""
        with self._open("GET", path, query, None, "text/plain", timeout=None) as answer:
            while piece := answer.read1(65536):
                yield piece

    def objects(self, path: str, body: bytes) -> Iterator[dict[str, Any]]:
        """Send something and yield the objects of the answer, one a line, as they come.

        Raises:
            Refused: the server cannot be reached, says no, or is gone before the end.
        """
        with self._open("POST", path, {}, body, "application/json", timeout=None) as answer:
            try:
                for line in answer:
                    yield json.loads(line)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise Refused(f"the answer broke off: {error!r}") from None

    def tunnel(self, uid: str, port: int) -> Tunnel:
        """Return a connection to a port of a replica.

        Raises:
            Refused: the server cannot be reached, or says no.
        """
        path, body = f"replicas/{uid}/forward/", json.dumps({"port": port}).encode()
        answer = self._open("POST", path, {}, body, "application/json", timeout=None)
        return Tunnel(self, f"{path}send/", answer)

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: bytes | None,
        kind: str,
        timeout: float | None = TIMEOUT_SECONDS,
    ) -> http.client.HTTPResponse:
        words = {key: value for key, value in query.items() if value not in (None, "", False)}
        address = f"{self.server}/api/v1/{path}"
        address += f"?{urllib.parse.urlencode(words)}" if words else ""
        headers = {"Content-Type": kind}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(address, body, headers, method=method)  # noqa: S310
        try:
            answer: http.client.HTTPResponse
            answer = urllib.request.urlopen(request, timeout=timeout)  # noqa: S310, ours
        except urllib.error.HTTPError as error:
            raise Refused(_sentence(error), error.code) from None
        except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise Refused(
                f"the server at {self.server} cannot be reached ({reason}); "
                "is `manage.py up` running? KIJABI_SERVER names another one"
            ) from None
        return answer


class Tunnel:
    """A connection to a port of a replica: one request reads, each piece sent is another."""

    def __init__(self, client: Client, path: str, answer: http.client.HTTPResponse) -> None:
        self._client, self._path, self._answer = client, path, answer
        self._name = answer.headers["Kijabi-Connection"]

    def read(self, most: int) -> bytes:
        """Return what has come, nothing at the end.

        Raises:
            Refused: the server went away.
        """
        try:
            return self._answer.read1(most)
        except (OSError, http.client.HTTPException) as error:
            raise Refused(f"the connection broke off: {error!r}") from None

    def send(self, data: bytes, *, is_end: bool = False) -> None:
        """Send bytes, or that nothing more will come.

        Raises:
            Refused: the server cannot be reached, or the connection has ended.
        """
        query = {"connection": self._name, "end": "true" if is_end else ""}
        kind = "application/octet-stream"
        self._client.call("POST", self._path, query=query, body=data, kind=kind)

    def close(self) -> None:
        """End it."""
        self._answer.close()


def _sentence(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.loads(error.read())
    except ValueError:
        return f"the server answered {error.code} {error.reason}"
    faults = problem.get("problems") or []
    if faults:
        return "\n".join(_fault(fault) for fault in faults)
    return str(problem.get("detail") or problem.get("title") or error.reason)


def _fault(fault: Mapping[str, Any]) -> str:
    place = [f"document {fault['document']}"] if fault.get("document") else []
    place += [f"line {fault['line']}"] if fault.get("line") else []
    parts = (", ".join(place), fault.get("path"), fault["message"])
    return ": ".join(str(part) for part in parts if part)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
