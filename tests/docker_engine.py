"""The real engine for tests: is it there, and the image that cannot be pulled from anywhere."""

from __future__ import annotations

import io
import tarfile
from contextlib import closing
from pathlib import Path

import requests
from docker.errors import DockerException

from worker.runtimes import docker_client
from worker.runtimes.docker import socket_url

IMAGE = "kijabi-test/busybox:1"
APPLETS = "sh sleep httpd cat echo env ls true false nc wget id ps kill mkdir touch date seq head"


def why_missing() -> str:
    """Return why there is no usable engine; empty when there is one."""
    try:
        with closing(docker_client.client(socket_url(), timeout=5)) as client:
            client.ping()
    except (DockerException, requests.RequestException) as error:
        return f"no Docker Engine answers ({type(error).__name__})"
    if not Path("/bin/busybox").exists():
        return "there is no /bin/busybox (Debian's busybox-static) to make an image of"
    return ""


def make_image(url: str | None = None) -> None:
    """Import a static busybox as an image, unless it is there already."""
    with closing(docker_client.client(url or socket_url(), timeout=60)) as client:
        if not client.images(IMAGE):
            client.import_image_from_data(_root().getvalue(), *IMAGE.split(":"))


def _root() -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for name in ("tmp", "proc", "sys", "dev", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(folder)
        for applet in APPLETS.split():
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer
