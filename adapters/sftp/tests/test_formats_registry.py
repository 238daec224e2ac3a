"""Formats by name: shipped ones, third parties' ones, and helpful refusals."""

import subprocess
import sys

import pytest

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats import Format, all_formats, format_class, settings
from moatbridge_sftp.formats.registry import SHIPPED


def test_every_shipped_format_loads_and_has_a_name():
    found = all_formats()
    assert set(SHIPPED) <= set(found)
    for name, kind in found.items():
        assert issubclass(kind, Format)
        assert (kind.name, bool(kind.extension)) == (name, True)


def test_an_unknown_format_is_named_with_the_nearest_one():
    with pytest.raises(ConfigurationError, match="did you mean 'edifact'"):
        format_class("edifakt")


def test_a_setting_that_does_not_exist_is_named_without_its_value():
    with pytest.raises(ConfigurationError) as caught:
        settings(format_class("csv"), {"delimeter": "secret"})
    assert "delimeter" in str(caught.value)
    assert "secret" not in str(caught.value)


def third_party(folder, target):
    (folder / "acme_dbf.py").write_text(
        "from moatbridge_sftp.formats import Format, Chunk, Position\n"
        "class DbfFormat(Format):\n"
        "    name = 'dbf'; extension = 'dbf'\n"
        "    def read(self, file, fields, config, start=None):\n"
        "        yield Chunk([{'a': file.read()}], [], Position(1, -1), [1])\n"
    )
    info = folder / "acme_dbf-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-dbf\nVersion: 1\n"
    )
    (info / "entry_points.txt").write_text(f"[moatbridge.formats]\ndbf = {target}\n")


def test_a_third_partys_format_is_found_by_its_entry_point(tmp_path, monkeypatch):
    third_party(tmp_path, "acme_dbf:DbfFormat")
    monkeypatch.syspath_prepend(tmp_path)
    assert format_class("dbf").extension == "dbf"
    assert "dbf" in all_formats()


@pytest.mark.parametrize("target", ["acme_dbf:Nobody", "nobody:X", "io:BytesIO"])
def test_a_third_partys_format_that_does_not_load_is_said(
    tmp_path, monkeypatch, target
):
    third_party(tmp_path, target)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        format_class("dbf")
    assert caught.value.code == "sftp.format"
    assert "dbf" not in all_formats()


def test_parsers_are_loaded_where_first_used():
    code = (
        "import sys; from moatbridge_sftp.formats import format_class; format_class('csv');"
        "print([m for m in ('lxml', 'ijson', 'python_calamine', 'zstandard', 'ebcdic')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip() == "[]"
