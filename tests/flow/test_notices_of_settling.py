"""What a source's adapter says while it is told what was delivered reaches people."""

from __future__ import annotations

import pytest

from flow.test_settle import DropFolder, FolderWorld
from moatbridge.ledger import notices

WORDS = "people: 1 is settled, and a person should know."


class Talks(DropFolder):
    """Says something of each file that is settled, and of another stream."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self._said = []

    def settle(self, stream, cursor):
        if cursor["file"] in self.system.files:
            self._said += [(stream, WORDS), ("other", "other: for somebody else.")]
        super().settle(stream, cursor)

    def notices(self, stream=None):
        said = [words for name, words in self._said if stream in {None, name}]
        self._said = [one for one in self._said if one[1] not in said]
        return said


@pytest.mark.parametrize("when", ["staged", "delivered"])
def test_what_is_said_while_settling_is_told_whenever_that_is(tmp_path, when):
    world = FolderWorld(tmp_path, adapter=Talks, settle_when=when)
    try:
        world.drop(1, "a", "b")
        world.apply()
        assert not world.hr.files
        with world.bridge.ledger.read() as tx:
            assert [n.words for n in notices.of_pass(tx, 1, 1)] == [WORDS]
        world.bridge.run("people")  # a pass of its own takes it over
        with world.bridge.ledger.read() as tx:
            newest = tx.value("SELECT max(generation) FROM partition")
            assert newest > 1
            assert [n.words for n in notices.of_pass(tx, 1, newest)] == [WORDS]
    finally:
        world.bridge.close()
