"""The state folder of a running node: deleted, wholly or in part, and not writable."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.letters import an_identity
from tests.machine import spec
from worker.assignments import Assignment, AssignmentStore
from worker.identity import Identity
from worker.state_folder import TOLD_SECONDS, StateFolder

IDENTITY = an_identity()


class Kept:
    """A folder with one assignment, one letter taken, and a clock."""

    def __init__(self, home: Path) -> None:
        self.home = home / "n1"
        self.list, self.identity = self.home / "assignments.sqlite3", self.home / "identity.json"
        self.store = AssignmentStore(self.list)
        self.given = [Assignment(spec=spec("r1"))]
        self.store.save(self.given)
        self.store.note_taken("nonce", 2000.0, now=1000.0)
        IDENTITY.save(self.identity)
        self.now = 1000.0
        self.folder = StateFolder(
            self.identity, IDENTITY, self.store, lambda: self.given, lambda: self.now
        )


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_folder_that_is_well_needs_no_words(kept: Kept):
    assert kept.folder.look() == ()


@pytest.mark.parametrize("part", ["all", "list", "identity"])
def test_what_was_deleted_is_written_anew_and_told(kept: Kept, part: str):
    if part == "all":
        shutil.rmtree(kept.home)
    else:
        getattr(kept, part).unlink()

    (note,) = kept.folder.look()
    again = AssignmentStore(kept.list)

    assert "were deleted while the node ran; at 00:16:40 UTC it wrote down anew" in note
    assert Identity.load(kept.identity) == IDENTITY
    assert list(again.load()) == ["r1"]
    assert again.has_taken("nonce")
    assert not again.was_lost


def test_it_goes_on_keeping_what_comes_later(kept: Kept):
    shutil.rmtree(kept.home)
    kept.folder.look()

    kept.store.save([Assignment(spec=spec("r2"))])

    assert set(AssignmentStore(kept.list).load()) == {"r1", "r2"}


def test_a_folder_that_cannot_be_written_anew_is_told_until_it_can(kept: Kept):
    shutil.rmtree(kept.home)
    kept.home.write_text("in the way")

    (note,) = kept.folder.look()
    kept.home.unlink()
    kept.folder.look()
    kept.now += TOLD_SECONDS

    assert "cannot be written" in note
    assert kept.folder.look() == ()
    assert list(AssignmentStore(kept.list).load()) == ["r1"]
