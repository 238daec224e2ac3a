"""The conformance suite on a real folder, and what is particular to IDoc files."""

from __future__ import annotations

import itertools
import tomllib
import uuid
from pathlib import Path

import pytest
from moatbridge_idoc import IdocAdapter, IdocConfig, IdocStreamConfig

from moatbridge import Bridge, Registry
from moatbridge.changes import Reject
from moatbridge.config import parse
from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied, Rejected
from moatbridge.run import preview
from moatbridge.testing import AdapterConformance, Harness, net

COLUMNS = {
    "PERNR": ("E1PLOGI", 12, 8),
    "NACHN": ("E1P0002", 0, 40),
    "VORNA": ("E1P0002", 40, 40),
    "USRID": ("E1P0105", 4, 60),
}


class Erp:
    """An ERP that writes exports: layout as SAP describes EDI_DC40 and EDI_DD40."""

    def __init__(self, folder):
        self.folder = folder
        self.people = {}
        self._numbers = itertools.count(1)

    def export(self, *more, encoding="utf-8", status="03 {}", newline="\n"):
        """Write the next export and, last, its status file; returns its path."""
        name = f"HRMD_A_{next(self._numbers):06}"
        lines = [line for each in self.people.values() for line in idoc(each)]
        text = "".join(line + newline for line in [*lines, *more])
        path = self.folder / f"{name}.idoc"
        path.write_bytes(text.encode(encoding))
        size = path.stat().st_size
        (self.folder / f"{name}.sts").write_text(status.format(size))
        return path


def idoc(person):
    """A control record, and the data segments that these columns lie in."""
    yield "EDI_DC40  " + "100".ljust(514)
    texts = {}
    for field, (segment, start, length) in COLUMNS.items():
        value = (person.get(field) or "").ljust(length)
        texts[segment] = texts.get(segment, "").ljust(start) + value
    for number, (segment, text) in enumerate(texts.items(), 1):
        numbers = f"{1:016}{number:06}{0:06}02"
        yield f"{segment:30}100{numbers}{text}".rstrip()


def adapter(folder, **more):
    fields = {
        name: dict(zip(("segment", "start", "length"), place, strict=True))
        for name, place in COLUMNS.items()
    }
    stream = {"export": "HRMD_A", "key": "PERNR", "fields": fields}
    made = IdocAdapter(
        IdocConfig(folder=folder, page_size=5, **more),
        {"people": IdocStreamConfig.model_validate(stream)},
    )
    made.net = net(())
    return made


class FolderHarness(Harness):
    unique = "USRID"

    def __init__(self, folder):
        self.erp = Erp(folder)
        self.erp.export()

    def make(self, *, endpoint=None, credentials="good"):
        return adapter(self.erp.folder)

    def sample(self, count):
        return [
            {
                "PERNR": uuid.uuid4().hex[:8],
                "NACHN": f"Ünver-{uuid.uuid4().hex}",
                "VORNA": None,
                "USRID": f"{uuid.uuid4().hex}@legacy.example",
            }
            for _ in range(count)
        ]

    def seed(self, records):
        self.erp.people |= {each["USRID"]: each for each in records}
        self.erp.export()

    def read_all(self):
        return list(self.erp.people.values())

    def remove(self, values):
        for value in values:
            self.erp.people.pop(value, None)
        self.erp.export()


class TestIdoc(AdapterConformance):
    adapter = IdocAdapter

    @pytest.fixture
    def harness(self, tmp_path):
        return FolderHarness(tmp_path)


@pytest.fixture
def erp(tmp_path):
    made = Erp(tmp_path)
    for number in range(1, 8):
        login = f"p{number}@legacy.example"
        made.people[login] = {"PERNR": f"{number:08}", "NACHN": "Berg", "USRID": login}
    return made


def scan(made, after=None):
    with made:
        part = made.split("people", 1)[0]
        return list(made.scan("people", part, after))


@pytest.mark.parametrize("status", ["", "02 {}", "03 1{}", "03"])
def test_half_an_export_is_never_a_small_company(erp, status):
    erp.export(status=status)
    with pytest.raises(NotApplied) as caught:
        scan(adapter(erp.folder))
    assert caught.value.code == "idoc.unfinished"


def test_the_older_export_is_not_read_while_the_newest_is_written(erp):
    erp.export()
    newest = erp.export()
    with newest.open("ab") as file:
        file.write(b"E1P00")
    with pytest.raises(NotApplied):
        scan(adapter(erp.folder))


def test_no_export_yet_is_not_an_empty_company(tmp_path):
    with pytest.raises(NotApplied) as caught:
        scan(adapter(tmp_path))
    assert caught.value.code == "idoc.none"


def test_one_unreadable_idoc_leaves_the_others(erp):
    erp.people["nobody"] = {"NACHN": "Without number"}
    erp.export(*idoc({"PERNR": "9", "USRID": "x" * 60}), "E1LONG".ljust(5000))
    batches = scan(adapter(erp.folder))
    assert sum(len(batch.changes) for batch in batches) == 7
    rejects = [reject for batch in batches for reject in batch.rejects]
    assert [each.reason for each in rejects] == ["idoc.key", "idoc.segment"]
    assert all(type(each) is Reject and "byte" in each.location for each in rejects)


def test_nobody_counts_as_gone_while_an_idoc_cannot_be_read(erp):
    erp.people["nobody"] = {"NACHN": "Without number"}
    erp.export()
    with adapter(erp.folder) as made:
        ref = next(iter(made.scan("people", None, None))).changes[0].ref
        assert made.fetch("people", [ref])[0].ref == ref
        with pytest.raises(Rejected):
            made.fetch("people", [FolderHarness.absent(None)])


def test_a_scan_goes_on_in_the_export_that_it_began(erp):
    erp.export()
    first = scan(adapter(erp.folder))[0]
    erp.people.clear()
    old = erp.export().with_name(first.cursor["export"])
    rest = scan(adapter(erp.folder), first.cursor)
    assert len(first.changes) + sum(len(batch.changes) for batch in rest) == 7
    old.unlink()
    with pytest.raises(CursorTooOld):
        scan(adapter(erp.folder), first.cursor)


def test_a_cursor_never_leads_out_of_the_folder(erp, tmp_path_factory):
    erp.export()
    other = Erp(tmp_path_factory.mktemp("other"))
    stolen = {"export": str(other.export()), "at": 0}
    assert scan(adapter(erp.folder), stolen) == scan(
        adapter(erp.folder), {**stolen, "export": "HRMD_A_000001.idoc"}
    )


def test_an_old_code_page_and_windows_line_ends(erp):
    erp.people = {"a": {"PERNR": "00000001", "NACHN": "Özgür", "USRID": "a"}}
    erp.export(encoding="cp1254", newline="\r\n")
    [batch] = scan(adapter(erp.folder, encoding="cp1254"))
    assert batch.changes[0].data == {
        "PERNR": "00000001", "NACHN": "Özgür", "VORNA": None, "USRID": "a",
    }  # fmt: skip
    [batch] = scan(adapter(erp.folder, encoding="utf-8"))
    assert [each.reason for each in batch.rejects] == ["idoc.encoding"]


def test_what_is_no_idoc_file_is_refused_whole(erp):
    erp.people = {}
    erp.export("PERNR;NACHN")
    with pytest.raises(Rejected):
        scan(adapter(erp.folder))


def test_a_missing_folder_and_a_wrong_key_are_for_a_person(tmp_path):
    with pytest.raises(ConfigurationError):
        adapter(tmp_path / "unmounted").open()
    with pytest.raises(ConfigurationError):
        scan(
            IdocAdapter(
                IdocConfig(folder=tmp_path),
                {"people": IdocStreamConfig(export="HRMD_A", key="ID", fields={})},
            )
        )


def test_what_the_readme_configures_reads_people(erp, tmp_path):
    """The example is taken from the README as it stands, but for the folder."""
    readme = Path(__file__).parents[1] / "README.md"
    text = next(b for b in readme.read_text().split("```") if "[systems.erp]" in b)
    text = text.removeprefix("text\n").replace("/srv/erp/out", str(erp.folder))
    tables = {**tomllib.loads(text), "ledger": {"url": f"sqlite:///{tmp_path}/l.db"}}
    erp.people["p1@legacy.example"]["VORNA"] = "Zoë"
    erp.export(encoding="cp1252")
    registry = Registry()  # finds the adapter by its entry point
    with Bridge(parse(tables, registry), registry=registry) as bridge:
        found = preview(bridge, "erp/people", most=1).samples[0].entity
    assert (found["userName"], found["name"]["givenName"]) == ("00000001", "Zoë")
    assert found["emails"][0]["value"] == "p1@legacy.example"
