"""A folder of files with a record each: written once, as a whole, and as it was meant."""

from __future__ import annotations

import errno
import json
import os
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.files_world import (
    FIELDS,
    KINDS,
    LONG_AGO,
    CardsConfig,
    keys,
    opened,
    parse,
    put,
    rejects,
    scan,
    write,
)
from moatbridge.adapter import (
    Folder,
    record_files,
)
from moatbridge.adapter import files_folder as folder_module
from moatbridge.adapter.files_folder import UnfitError
from moatbridge.changes import Ref
from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied
from moatbridge.testing import net


@pytest.mark.parametrize("kind", ["brought along", "brought along in the name"])
def test_a_create_is_repeated_without_effect_and_never_takes_anothers_record(
    kind, tmp_path
):
    put(tmp_path, "theirs.json", "theirs", "somebody")
    adapter = opened(tmp_path, kind)
    mine = {"id": "mine", "login": "me", "mail": "me@mail.example"}
    request = "a" * 26
    for again in (adapter, adapter, opened(tmp_path, kind)):
        assert write(again, "create", None, mine, request).ref == Ref("mine")
    assert len(list(tmp_path.iterdir())) == 2
    theirs = write(adapter, "create", None, {**mine, "id": "theirs"})
    assert (theirs.outcome, theirs.reason) == ("rejected", "conflict")
    others = write(adapter, "create", None, {**mine, "login": "other"}, "b" * 26)
    assert (others.outcome, others.reason) == ("rejected", "conflict")
    assert json.loads((tmp_path / "theirs.json").read_text())["login"] == "somebody"


def test_a_repeated_create_knows_its_record_under_another_files_name(tmp_path):
    adapter = opened(tmp_path)
    made = write(adapter, "create", None, {"login": "me"}, "c" * 26).ref
    [path] = tmp_path.iterdir()
    path.rename(tmp_path / "renamed-by-the-program.json")
    assert write(adapter, "create", None, {"login": "me"}, "c" * 26).ref == made
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "key", ["../up", "/etc/passwd", ".hidden", "a/b", "-rf", "50%", "é\n", "con", "~"]
)
def test_a_key_is_data_and_never_a_path(key, tmp_path):
    folder = tmp_path / "in" / "folder"
    folder.mkdir(parents=True)
    for kind in ("brought along", "brought along in the name"):
        adapter = opened(folder, kind)
        record = {"id": key, "login": "x", "mail": None}
        receipt = write(adapter, "create", None, record)
        assert receipt.outcome == "applied"
        assert keys(scan(adapter)) == [key]
        assert write(adapter, "update", key, {"login": "y"}).outcome == "applied"
        [path] = folder.iterdir()
        assert path.name.isascii()
        assert write(adapter, "delete", key, None).outcome == "applied"
    everything = [path for path in tmp_path.rglob("*") if not path.is_dir()]
    assert everything == []


def test_a_key_that_cannot_be_a_name_is_refused(tmp_path):
    adapter = opened(tmp_path, "brought along in the name")
    for key in ("x" * 300, "\ud800"):
        receipt = write(adapter, "create", None, {"id": key, "login": "a"})
        assert (receipt.outcome, receipt.reason) == ("rejected", "data")
    assert write(adapter, "create", None, {"id": "a", "login": "a"}).ref == Ref("a")
    assert write(adapter, "update", "a", {"id": "b"}).reason == "data"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]


def test_what_would_not_read_back_is_refused_before_anything_is_written(tmp_path):
    adapter = opened(tmp_path, "lines")
    ref = write(adapter, "create", None, {"login": "ada", "mail": "a@b"}).ref.id
    before = [path.read_bytes() for path in tmp_path.iterdir()]
    for record in (
        {"login": "eve\nmail: evil@mail.example"},  # would set another field
        {"login": "eve\nid: other"},
        {"mail": "two\nlines"},
        {"login": "eve\nbroken"},
        {"login": "\ud800"},
    ):
        receipt = write(adapter, "update", ref, record)
        assert (receipt.outcome, receipt.reason) == ("rejected", "data"), record
        receipt = write(adapter, "create", None, {"login": "x", **record})
        assert (receipt.outcome, receipt.reason) == ("rejected", "data"), record
    assert [path.read_bytes() for path in tmp_path.iterdir()] == before
    assert write(adapter, "update", ref, {"mail": None}).outcome == "applied"


def test_an_update_that_would_lose_another_field_is_refused(tmp_path):
    path = put(tmp_path, "a.json", "k1", mail="old")
    before = path.read_bytes()
    adapter = opened(tmp_path, "forgetful")
    receipt = write(adapter, "update", "k1", {"mail": "new"})
    assert (receipt.outcome, receipt.reason) == ("rejected", "data")
    assert path.read_bytes() == before
    whole = {"mail": "new", "login": "all"}
    assert write(adapter, "update", "k1", whole).outcome == "applied"


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    login=st.text(min_size=1),
    mail=st.text() | st.none(),
    kind=st.sampled_from(list(KINDS)[:2]),
)
def test_any_text_reads_back_as_it_was_written_or_is_refused(
    login, mail, kind, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("any")
    adapter = opened(folder, kind)
    receipt = write(adapter, "create", None, {"login": login, "mail": mail})
    if receipt.outcome == "rejected":
        assert list(folder.iterdir()) == []
        return
    [found] = adapter.fetch("people", [receipt.ref])
    assert found.data["login"] == login
    assert (found.data["mail"] or None) == (mail or None)


def test_what_is_not_known_stays_and_so_do_mode_and_other_fields(tmp_path):
    path = put(tmp_path, "a.json", "k1", mail="old", nickname="Countess")
    path.chmod(0o664)
    adapter = opened(tmp_path)
    assert write(adapter, "update", "k1", {"mail": None}).outcome == "applied"
    row = json.loads(path.read_text())
    assert row == {
        "id": "k1",
        "login": "login-k1",
        "mail": None,
        "nickname": "Countess",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o664
    inode = path.stat().st_ino
    assert write(adapter, "update", "k1", {"mail": None}).outcome == "applied"
    assert path.stat().st_ino == inode, "nothing to write, nothing written"


def test_a_file_that_changes_under_our_hands_is_left_as_it_is(tmp_path, monkeypatch):
    path = put(tmp_path, "a.json", "k1")
    adapter = opened(tmp_path)
    filled = Folder._fill

    def interrupted(self, file, data, like):
        put(tmp_path, "a.json", "k1", "by the program", old=False)
        filled(self, file, data, like)

    monkeypatch.setattr(Folder, "_fill", interrupted)
    with pytest.raises(NotApplied) as caught:
        write(adapter, "update", "k1", {"mail": "ours"})
    assert caught.value.code == "files.changing"
    assert json.loads(path.read_text())["login"] == "by the program"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["brought along", "brought along in the name"])
def test_a_file_that_appears_at_the_last_moment_is_never_replaced(
    kind, tmp_path, monkeypatch
):
    adapter = opened(tmp_path, kind)
    filled = Folder._fill
    name = f"{'e' * 26}.json" if kind == "brought along" else "mine.json"

    def interrupted(self, file, data, like):
        put(tmp_path, name, "theirs", "by the program", old=False)
        filled(self, file, data, like)

    monkeypatch.setattr(Folder, "_fill", interrupted)
    record = {"id": "mine", "login": "me"}
    receipt = write(adapter, "create", None, record, "e" * 26)
    assert (receipt.outcome, receipt.reason) == ("rejected", "conflict")
    [path] = tmp_path.iterdir()
    assert json.loads(path.read_text())["login"] == "by the program"


def test_a_link_or_a_file_that_grows_is_not_read(tmp_path, monkeypatch):
    path = put(tmp_path, "a.json", "k1")
    (tmp_path / "link.json").symlink_to(path)
    folder = Folder(CardsConfig(folder=tmp_path), net([]))
    with folder.opened("") as found, pytest.raises(UnfitError) as caught:
        folder.read(found, "link.json")
    assert caught.value.reason == "files.link"
    looked = os.fstat

    def growing(file):
        state = looked(file)
        with path.open("a") as stream:
            stream.write(" ")
        return state

    with folder.opened("") as found:
        monkeypatch.setattr(folder_module.os, "fstat", growing)
        with pytest.raises(UnfitError) as caught:
            folder.read(found, "a.json")
    assert caught.value.reason == "files.changing"


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [
        (errno.ENOSPC, NotApplied, "files.write"),
        (errno.EROFS, ConfigurationError, "files.rights"),
    ],
)
def test_a_full_disk_leaves_the_old_file_and_no_draft(
    number, error, code, tmp_path, monkeypatch
):
    path = put(tmp_path, "a.json", "k1")
    before = path.read_bytes()
    adapter = opened(tmp_path)

    def full(_):
        raise OSError(number, "no")

    monkeypatch.setattr(folder_module.os, "fsync", full)
    for op, key, record in (
        ("update", "k1", {"mail": "new"}),
        ("create", None, {"login": "a"}),
    ):
        with pytest.raises(error) as caught:
            write(adapter, op, key, record)
        assert caught.value.code == code
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_drafts_that_a_killed_process_left_are_never_read_and_go_in_time(tmp_path):
    old, young = (tmp_path / f".{n}.moatbridge-draft" for n in ("1", "2"))
    for draft in (old, young):
        draft.write_text('{"id": "half')
    os.utime(old, (LONG_AGO - 4000, LONG_AGO - 4000))
    adapter = opened(tmp_path)
    batches = scan(adapter)
    assert (keys(batches), rejects(batches)) == ([], [])
    assert old.exists()  # reading changes nothing
    write(adapter, "create", None, {"login": "a"})
    assert (old.exists(), young.exists()) == (False, True)


def test_a_file_system_without_hard_links_will_do(tmp_path, monkeypatch):
    def cannot(*_, **__):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(folder_module.os, "link", cannot)
    adapter = opened(tmp_path, "in the name")
    assert write(adapter, "create", None, {"login": "a"}, "d" * 26).ref == Ref("d" * 26)
    assert write(adapter, "create", None, {"login": "a"}, "d" * 26).outcome == "applied"
    assert [path.name for path in tmp_path.iterdir()] == [f"{'d' * 26}.json"]


def test_without_render_nothing_can_be_written(tmp_path):
    functions = record_files(
        name="people", key="id", fields=FIELDS, suffix=".json", parse=parse
    )
    assert functions.abilities == {"CanScan", "CanFetch", "CanFind"}


@pytest.mark.parametrize(
    "wrong",
    [{"suffix": "json"}, {"suffix": "./x"}, {"suffix": "."}, {"subfolder": "../up"}],
)
def test_a_declaration_that_leads_elsewhere_is_refused(wrong):
    given_ = {"suffix": ".json", "subfolder": ""} | wrong
    with pytest.raises(MoatbridgeError) as caught:
        record_files(name="people", key="id", fields=FIELDS, parse=parse, **given_)
    assert caught.value.code == "adapter.functions"
