"""`test`, `check_code` and `bench`: what developers and CI run."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestrator.home import ROOT
from orchestrator.launch import environment, postgresql
from orchestrator.launch.environment import Unready

CHECKS: tuple[tuple[str, list[str]], ...] = (
    ("format", ["-m", "ruff", "format", "--check", "."]),
    ("lint", ["-m", "ruff", "check", "."]),
    ("import rules", ["-m", "importlinter.cli", "lint-imports"]),
    ("types", ["-m", "mypy", "orchestrator", "webui", "worker"]),
    ("migrations", ["manage.py", "makemigrations", "--check", "--dry-run"]),
    (
        "API schema",
        ["manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", os.devnull],
    ),
)


def test(arguments: list[str]) -> None:
    """Run the suite on SQLite, then what touches the database again on PostgreSQL."""
    parser = argparse.ArgumentParser("manage.py test", description=test.__doc__)
    parser.add_argument("--golden", action="store_true", help="rewrite golden files")
    parser.add_argument(
        "--require",
        default=os.environ.get("KIJABI_TEST_REQUIRE", ""),
        help="docker,namespaces,postgresql,chromium,gettext: fail when it is missing, do not skip",
    )
    options, rest = parser.parse_known_args(arguments)
    environment.enter(["test"])
    env = {**os.environ, "KIJABI_TEST_REQUIRE": options.require}
    if options.golden:
        env["KIJABI_REWRITE_GOLDEN"] = "1"
    status = _pytest(rest, env)
    if status == 0 and not rest:
        status = _on_postgresql(env, required="postgresql" in options.require)
    sys.exit(status)


def check_code(arguments: list[str]) -> None:
    """Run every static check; all of them, even when one fails."""
    argparse.ArgumentParser("manage.py check_code").parse_args(arguments)
    environment.enter(["test", "check"])
    failed = []
    for name, command in CHECKS:
        if name == "import rules":
            program = [str(Path(environment.python()).parent / "lint-imports")]
        else:
            program = [environment.python(), *command]
        sys.stdout.write(f"== {name}\n")
        sys.stdout.flush()
        if subprocess.run(program, cwd=ROOT, check=False).returncode:  # noqa: S603, our own
            failed.append(name)
    sys.exit(f"kijabi: failed: {', '.join(failed)}" if failed else 0)


def bench(arguments: list[str]) -> None:
    """Run a benchmark by name."""
    folder = ROOT / "tests" / "benchmarks"
    names = sorted(path.stem for path in folder.glob("*.py"))
    parser = argparse.ArgumentParser("manage.py bench", description=bench.__doc__)
    parser.add_argument("name", choices=names)
    options, rest = parser.parse_known_args(arguments)
    environment.enter(["test"])
    command = [environment.python(), str(folder / f"{options.name}.py"), *rest]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    sys.exit(subprocess.run(command, cwd=ROOT, env=env, check=False).returncode)  # noqa: S603


def _pytest(arguments: Sequence[str], env: dict[str, str]) -> int:
    command = [environment.python(), "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode  # noqa: S603


def _on_postgresql(env: dict[str, str], *, required: bool) -> int:
    with _database() as url:
        if url is None:
            if required:
                raise Unready("PostgreSQL is required (--require) but not installed here")
            sys.stdout.write("SKIPPED on PostgreSQL: no server is installed here\n")
            return 0
        sys.stdout.write("== the same on PostgreSQL\n")
        sys.stdout.flush()
        return _pytest(["tests/integration", "tests/eager"], {**env, "DATABASE_URL": url})


@contextmanager
def _database() -> Iterator[str | None]:
    """Yield the URL of a PostgreSQL: the one named, or a private one started for the occasion."""
    if url := os.environ.get("KIJABI_TEST_DATABASE_URL"):
        yield url
        return
    folder = postgresql.programs()
    if folder is None:
        yield None
        return
    with postgresql.private_server(folder) as url:
        yield url
