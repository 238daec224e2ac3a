"""A folder with one record per file (vCard, JSON, XML, INI), out of two functions.

An author writes ``parse`` (bytes -> record) and, if records are written, ``render``
(old bytes, record -> new bytes); `record_files` makes the `StreamFunctions` of them:

* the key stands in the file or is the file's name; it is data, never a path;
* a file that cannot be read is a reject that names it, and the pass goes on; where two
  files have one key, nobody knows which one counts, so both are rejects;
* a file is replaced as a whole and durably, and nobody ever sees half of one; a create
  never replaces anything, and a repeat of it has no second effect;
* before anything is written it is parsed again: what does not read back as it was
  asked for, or would change another field, is refused;
* unchanged files are parsed once; only keys and file states are held.

What it cannot do: nobody locks such a folder, so between the last look at a file and
its replacement (some microseconds) a change made by another program is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter.files_folder import Folder, FolderConfig
from moatbridge.adapter.files_index import Layout
from moatbridge.adapter.files_records import Records
from moatbridge.adapter.files_writing import Writer
from moatbridge.adapter.functions import StreamFunctions
from moatbridge.adapter.streams import Field
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moatbridge.changes import Data

__all__ = ["Folder", "FolderConfig", "record_files"]

_PLAIN: Final = frozenset("/\\\0")


def record_files(
    *,
    name: str,
    key: str,
    fields: Sequence[str | Field],
    suffix: str,
    parse: Callable[[bytes], Mapping[str, Any]],
    render: Callable[[bytes | None, Data], bytes] | None = None,
    key_in_name: bool = False,
    subfolder: str = "",
    entity: str | None = None,
) -> StreamFunctions[Folder]:
    """The functions of a stream whose records are the files of a folder.

    Use it with ``connect=Folder, probe=Folder.identity`` and a configuration that is a
    `FolderConfig`.

    Args:
        name: As in `StreamFunctions`.
        key: As in `StreamFunctions`. A new record gets its idempotency key as its key.
            Only if ``fields`` holds an explicit `Field` for the key (writable, as it
            is unless said otherwise) a new record brings its key along; a plain name
            does not let it.
        fields: As in `StreamFunctions`. What is ``unique`` is kept so: a second record
            with its value is a conflict. A file that has no value for a ``required``
            field is a reject (``files.required``), like one without its key
            (``files.key``). Look-ups by a field with one value read the
            files that fit only; by one with several, all files.
        suffix: How the names of the files end (``.vcf``). Other files, and those whose
            names begin with a dot, are left alone.
        parse: The record in a file's bytes. Whatever it raises (usually `ValueError`)
            makes the file a reject. It fills every field that the file could hold,
            with None where the file has no value.
        render: The file's bytes with these fields set; None clears one. Its first
            argument is the file as it is, so that what is not known stays; None makes
            a new file, and then the record has the key too (unless ``key_in_name``).
            A `ValueError` refuses the record. None: nothing is written. A refusal
            tells why, and which field: ``files.render.data`` (it raised),
            ``files.read-back.data`` (a value does not read back as it was given) and
            ``files.not-named.data`` (another field would change).
        key_in_name: The key is the file's name without the suffix, and ``parse`` does
            not return it. Characters other than letters, digits and ``-_.~`` stand
            there as ``%XX``.
        subfolder: The files lie in this folder below the configured one.
        entity: As in `StreamFunctions`.

    Returns:
        Functions that read, fetch and find, and write if there is a ``render``.

    Raises:
        ConfigurationError: ``adapter.functions``: the declaration contradicts itself.
    """
    known = tuple(
        Field(f, writable=f != key) if isinstance(f, str) else f for f in fields
    )
    if len(suffix) < len(".x") or not suffix.startswith(".") or _PLAIN & set(suffix):
        raise _wrong(f"the suffix of {name} is the end of a name, such as .json")
    if _PLAIN & set(subfolder) or subfolder.startswith("."):
        raise _wrong(f"the subfolder of {name} is one plain name")
    layout = Layout(
        name=name,
        key=key,
        suffix=suffix,
        parse=parse,
        key_in_name=key_in_name,
        subfolder=subfolder,
        marked=tuple(f.name for f in known if not f.multi),
        unique=tuple(f.name for f in known if f.unique and not f.multi),
        writable=tuple(f.name for f in known if f.writable and f.name != key),
        brings_key=any(f.name == key and f.writable for f in known),
        required=tuple(f.name for f in known if f.required and f.name != key),
    )
    return StreamFunctions(
        name=name,
        key=key,
        fields=known,
        entity=entity,
        read_after=lambda folder, after: Records(folder, layout).read_after(after),
        fetch=lambda folder, keys: Records(folder, layout).fetch(keys),
        find=lambda folder, field, value: Records(folder, layout).find(field, value),
        dedup="none" if render is None else "keyed",
        **({} if render is None else _writing(layout, render)),
    )


def _writing(
    layout: Layout, render: Callable[[bytes | None, Data], bytes]
) -> dict[str, Any]:
    def writer(folder: Folder) -> Writer:
        return Writer(folder, layout, render)

    return {
        "create": lambda folder, record, key: writer(folder).create(record, key),
        "update": lambda folder, key, record: writer(folder).update(key, record),
        "delete": lambda folder, key: writer(folder).delete(key),
    }


def _wrong(words: str) -> ConfigurationError:
    return ConfigurationError(
        f"The adapter's functions do not fit: {words}.", code="adapter.functions"
    )
