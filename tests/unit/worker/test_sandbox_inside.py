"""What a sandboxed program can see and do, and what it is refused."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.sandboxes import Sandboxes, make_root
from worker.protocol import Port
from worker.resolving import Resolving
from worker.runtimes.base import FailureReason, RuntimeFailure
from worker.runtimes.sandbox import SandboxRuntime


@pytest.fixture
def sandboxes(tmp_path: Path) -> Iterator[Sandboxes]:
    made = Sandboxes(tmp_path / "state")
    yield made
    made.clear()


def refusal(sandboxes: Sandboxes, *command: str, **container: object) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as caught:
        sandboxes.runtime.start(sandboxes.spec(*command, **container))
    assert sandboxes.is_empty()
    return caught.value


def images(sandboxes: Sandboxes) -> list[Path]:
    return [path for path in (sandboxes.state / "images").iterdir() if path.is_dir()]


@pytest.mark.parametrize("image", ["host", "folder"])
def test_names_are_looked_up_as_the_node_says(tmp_path: Path, image: str):
    sandboxes = Sandboxes(tmp_path / "state", image=image)
    if image == "folder":
        sandboxes.image = str(make_root(tmp_path / "root"))
        (tmp_path / "root/etc/resolv.conf").write_text("nameserver 192.0.2.53\n")
    said = Resolving(servers=("169.254.7.7",), searches=("a.example", "b.example"))
    sandboxes.runtime = SandboxRuntime(
        sandboxes.owner, sandboxes.state, resolving=lambda namespace: said
    )

    seen = sandboxes.script('while read -r line; do echo "$line"; done < /etc/resolv.conf')

    sandboxes.clear()
    assert seen.splitlines()[:2] == ["nameserver 169.254.7.7", "search a.example b.example"]


def test_the_agents_own_variables_stay_outside(
    sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")

    seen = sandboxes.script("cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; env")

    assert "HOME=/tmp" in seen
    assert "hunter2" not in seen


def test_a_replicas_variables_do_not_show_on_command_lines(sandboxes: Sandboxes):
    info = sandboxes.runtime.start(sandboxes.spec(env=(("TOKEN", "s3cret"),)))
    monitor = sandboxes.container(info.name).monitor.pid

    shown = subprocess.run(["ps", "-efww"], capture_output=True, text=True, check=True).stdout

    assert f" {monitor} " in shown
    assert "s3cret" not in shown


def test_it_runs_without_privileges_as_nobody(sandboxes: Sandboxes):
    seen = sandboxes.script("id -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status")

    assert seen.split() == [
        "65534",
        *("CapEff:", "0000000000000000"),
        *("CapBnd:", "0000000000000000"),
        *("NoNewPrivs:", "1"),
    ]


def test_the_nodes_root_is_read_only_and_tmp_is_private(sandboxes: Sandboxes):
    seen = sandboxes.script("touch /usr/x 2>/dev/null || echo refused; touch /tmp/y && ls /tmp")

    assert seen.split() == ["refused", "y"]


def test_homes_sockets_and_our_own_state_are_hidden(sandboxes: Sandboxes):
    (sandboxes.state / "secret-key").write_text("key")

    seen = sandboxes.script("ls -A /root /home /run /var/run /var/tmp | grep -v : | sort -u")
    key = sandboxes.run("cat", f"{sandboxes.state}/secret-key")

    assert seen == ""
    assert key.exit_code == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes a folder in /opt")
def test_state_outside_the_usual_folders_is_hidden_too():
    state = Path("/opt") / f"kijabi-test-{os.getpid()}"
    made = Sandboxes(state)
    state.chmod(0o755)
    (state / "admin-token").write_text("token")
    try:
        seen = made.script(f"ls -A {state}; echo listed")
    finally:
        made.clear()
        shutil.rmtree(state)

    assert seen == "listed"


def test_no_folder_of_the_node_is_left_open_inside(sandboxes: Sandboxes):
    seen = sandboxes.script("for f in /proc/self/fd/*; do [ -d $f ] && echo $f; done; true")

    assert seen == ""


def test_other_processes_and_the_host_name_are_not_seen(sandboxes: Sandboxes):
    seen = sandboxes.script("echo $$; hostname")

    assert int(seen.split()[0]) < 10
    assert seen.split()[1] == "web-0"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        pytest.param("no-such-program", "no-such-program does not exist in image host", id="name"),
        pytest.param("/no/such", "/no/such does not exist in image host", id="path"),
        pytest.param("/etc/passwd", "/etc/passwd cannot be executed", id="no-program"),
    ],
)
def test_a_command_that_cannot_run_is_named(sandboxes: Sandboxes, command: str, words: str):
    failure = refusal(sandboxes, command)

    assert failure.reason is FailureReason.COMMAND_NOT_FOUND
    assert words in str(failure)


def test_a_program_that_ends_with_127_has_been_found(sandboxes: Sandboxes):
    assert sandboxes.run("sh", "-c", "echo 'bwrap: execvp x: No'; exit 127").exit_code == 127


def test_a_working_folder_that_is_not_there_is_named(sandboxes: Sandboxes):
    failure = refusal(sandboxes, "true", working_dir="/no/such")

    assert (failure.reason, failure.permanent) == (FailureReason.INVALID, True)
    assert "/no/such" in str(failure)


def test_an_image_that_is_not_there_is_named(sandboxes: Sandboxes):
    failure = refusal(sandboxes, "true", image="/no/such/image")

    assert failure.reason is FailureReason.IMAGE_NOT_FOUND


@pytest.mark.parametrize("image", ["/proc/self", "/sys", "/dev"])
def test_a_folder_of_the_system_is_no_image(sandboxes: Sandboxes, image: str):
    assert refusal(sandboxes, "true", image=image).reason is FailureReason.INVALID


@pytest.mark.parametrize("image", ["/", "/usr/..", "/proc/self/root"])
def test_the_nodes_root_by_another_name_hides_the_same(sandboxes: Sandboxes, image: str):
    assert sandboxes.script("ls -A /root /home /run; id -u", image=image).endswith("65534")
    assert sandboxes.script("ls -A /run /root | grep -v : | sort -u", image=image) == ""


def test_our_own_state_is_no_image(sandboxes: Sandboxes):
    assert "belongs to" in str(refusal(sandboxes, "true", image=str(sandboxes.state.parent)))


def test_a_directory_can_be_the_root(sandboxes: Sandboxes, tmp_path: Path):
    image = str(make_root(tmp_path / "image"))

    seen = sandboxes.script("echo /*; echo x > /x || echo refused", image=image)

    inside = {f"/{path.name}" for path in (tmp_path / "image").iterdir()}
    assert set(seen.splitlines()[0].split()) == inside
    assert seen.splitlines()[-1] == "refused"


@pytest.mark.parametrize(("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), ("", "w:xz")])
def test_a_tar_is_unpacked_once(sandboxes: Sandboxes, tmp_path: Path, suffix: str, mode: str):
    path = tmp_path / f"image{suffix}"
    with tarfile.open(path, mode) as tar:
        tar.add(make_root(tmp_path / "root"), ".")

    seen = [sandboxes.script("echo inside", image=str(path)) for _ in range(2)]

    assert seen == ["inside", "inside"]
    assert len(images(sandboxes)) == 1


def test_an_image_asked_for_by_many_at_once_is_unpacked_whole(sandboxes: Sandboxes, tmp_path: Path):
    path = tmp_path / "image.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(make_root(tmp_path / "root"), ".")

    with ThreadPoolExecutor(4) as threads:
        seen = list(threads.map(lambda _: sandboxes.script("echo in", image=str(path)), range(4)))

    assert seen == ["in"] * 4


def test_layers_instead_of_a_file_system_are_told_apart(sandboxes: Sandboxes, tmp_path: Path):
    (tmp_path / "manifest.json").write_text("[]")
    with tarfile.open(tmp_path / "saved.tar", "w") as tar:
        tar.add(tmp_path / "manifest.json", "manifest.json")

    assert "docker export" in str(refusal(sandboxes, "true", image=str(tmp_path / "saved.tar")))


def test_a_broken_tar_leaves_nothing(sandboxes: Sandboxes, tmp_path: Path):
    path = tmp_path / "image.tar"
    path.write_bytes(b"this is no tar" * 1000)

    assert refusal(sandboxes, "true", image=str(path)).reason is FailureReason.INVALID
    assert images(sandboxes) == []


def test_sandboxes_get_different_ports_under_their_names(sandboxes: Sandboxes):
    ports = (Port(container_port=80), Port(container_port=9090, name="my-metrics"))

    infos = [sandboxes.runtime.start(sandboxes.spec(ports=ports)) for _ in range(5)]
    seen = sandboxes.runtime.exec(infos[0].name, ("sh", "-c", "echo $PORT $PORT_MY_METRICS"), 10)

    numbers = [number for info in infos for _, number in info.ports]
    assert len(set(numbers)) == 10
    assert [int(word) for word in seen.output.split()] == numbers[:2]


def test_a_port_given_to_a_sandbox_that_does_not_listen_yet_is_taken(sandboxes: Sandboxes):
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = Port(container_port=80, host_port=probe.getsockname()[1])
    info = sandboxes.runtime.start(sandboxes.spec(ports=(port,)))

    with pytest.raises(RuntimeFailure) as caught:
        sandboxes.another().start(sandboxes.spec(ports=(port,)))

    assert caught.value.reason is FailureReason.PORT_TAKEN
    assert info.ports == ((80, port.host_port),)


def test_a_port_that_needs_a_privilege_is_refused(sandboxes: Sandboxes):
    failure = refusal(sandboxes, "true", ports=(Port(container_port=80, host_port=80),))

    assert "needs a privilege" in str(failure)
