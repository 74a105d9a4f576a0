"""The real engine for tests: is it there, and the image that cannot be pulled from anywhere."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import docker
from docker.errors import DockerException

IMAGE = "kijabi-test/busybox:1"
APPLETS = "sh sleep httpd cat echo env ls true false nc wget id ps kill mkdir touch date seq head"


def why_missing() -> str:
    """Return why there is no usable engine; empty when there is one."""
    try:
        client = docker.from_env(timeout=5)
        client.ping()
        client.close()
    except DockerException as error:
        return f"no Docker Engine answers ({type(error).__name__})"
    if not Path("/bin/busybox").exists():
        return "there is no /bin/busybox (Debian's busybox-static) to make an image of"
    return ""


def make_image(url: str | None = None) -> None:
    """Import a static busybox as an image, unless it is there already."""
    client = docker.APIClient(url)
    try:
        if not client.images(IMAGE):
            client.import_image_from_data(_root().getvalue(), *IMAGE.split(":"))
    finally:
        client.close()


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
