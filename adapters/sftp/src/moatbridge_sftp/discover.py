"""What `discover` proposes: folders, patterns of names, and the format of a sample.

It reads at most 256 KiB of the newest file of each pattern, and keeps no value of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.adapter import (
    Field,
    Stream,
    Suggestion,
    Suggestions,
    suggested_by_names,
    suggested_for,
)
from moatbridge.errors import MoatbridgeError
from moatbridge_sftp.config import IGNORED
from moatbridge_sftp.formats import all_formats
from moatbridge_sftp.pickup.choosing import SIDE_FILES, as_date
from moatbridge_sftp.places import join, matcher
from moatbridge_sftp.storage import StorageFault
from moatbridge_sftp.suggest import field_type, is_action, is_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge_sftp.config import SftpConfig
    from moatbridge_sftp.formats.base import Format
    from moatbridge_sftp.formats.fields import FieldSpec
    from moatbridge_sftp.storage import Entry, Storage

DEPTH: Final = 2
SAMPLE: Final = 256 << 10
_MOST: Final = 5_000
_SURE: Final = 0.5
_MAGIC: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"-----BEGIN PGP", "OpenPGP"),
)
_DIGITS: Final = re.compile(r"\d+")


class Group(NamedTuple):
    """Files of one folder whose names differ in digits only.

    Args:
        glob: A pattern that fits them all.
        order: A value for ``order``.
        files: Newest first.
    """

    glob: str
    order: Any
    files: list[Entry]


def suggestions(storage: Storage, config: SftpConfig) -> Suggestions:
    """Proposals for every folder the account can see, to a depth of two.

    Raises:
        NotApplied: What a connection may raise.
    """
    del config
    items: list[Suggestion] = []
    warnings: list[str] = []
    names: set[str] = set()
    for folder, entries in _folders(storage, warnings):
        done = _done_file([entry.name for entry in entries])
        for group in groups(entries):
            stream = _stream_name(folder, group.glob, names)
            items += _place(folder, group, done, stream)
            items += _sample(storage, folder, group, stream, warnings)
    return Suggestions(items, tuple(warnings))


def _folders(
    storage: Storage, warnings: list[str]
) -> Iterator[tuple[str, list[Entry]]]:
    """Folders with their entries, down to the depth."""
    level = [(".", 0)]
    ignored = matcher(IGNORED)
    while level:
        folder, deep = level.pop(0)
        try:
            entries, _ = storage.list(folder, limit=_MOST)
        except (StorageFault, MoatbridgeError):
            warnings.append(f"{folder} cannot be listed, or holds over {_MOST} entries")
            continue
        good = [entry for entry in entries if not ignored(entry.name)]
        yield folder, [entry for entry in good if entry.kind == "file"]
        if deep < DEPTH:
            inner = (entry.name for entry in good if entry.kind == "folder")
            level += [(join(folder, name), deep + 1) for name in inner]


def groups(entries: Sequence[Entry]) -> list[Group]:
    """Data files by the pattern of their names."""
    found: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if not entry.name.lower().endswith((*SIDE_FILES, ".done", ".trg", ".ok")):
            found[_DIGITS.sub("*", entry.name)].append(entry)
    made = []
    for glob, files in sorted(found.items()):
        files.sort(key=lambda entry: (entry.mtime, entry.name), reverse=True)
        name = glob if len(files) > 1 or "*" in glob else files[0].name
        made.append(Group(name, _order([entry.name for entry in files]), files))
    return made


def _order(names: Sequence[str]) -> Any:
    """How files of a pattern are sorted: by a date or number in their names."""
    runs = [_DIGITS.findall(name) for name in names]
    for place in range(min(map(len, runs), default=0)):
        texts = [run[place] for run in runs]
        before = r"\D*" + r"\d+\D*" * place
        if all(len(text) == 8 and as_date(text) for text in texts):  # noqa: PLR2004 - YYYYMMDD
            return {"group": rf"^{before}(\d{{8}})", "as": "date"}
        if len(set(texts)) == len(texts) > 1:
            return {"group": rf"^{before}(\d+)", "as": "int"}
    return "name"


def _done_file(names: Sequence[str]) -> str | None:
    """The template of trigger files, if most data files have one."""
    there = set(names)
    for ext in (".done", ".trg", ".ok"):
        for template in (f"{{stem}}{ext}", f"{{name}}{ext}"):
            data = [name for name in there if not name.endswith(ext)]
            hits = [
                name
                for name in data
                if template.format(stem=name.rpartition(".")[0], name=name) in there
            ]
            if hits and len(hits) * 2 >= len(data):
                return template
    return None


def _stream_name(folder: str, glob: str, taken: set[str]) -> str:
    last = glob if folder == "." else f"{folder.rpartition('/')[2]}-{glob}"
    words = re.sub(r"[^a-z0-9]+", "-", last.rpartition(".")[0].lower() or last.lower())
    name = base = words.strip("-") or "files"
    number = 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name


def _place(
    folder: str, group: Group, done: str | None, stream: str
) -> Iterator[Suggestion]:
    count = len(group.files)
    yield Suggestion("folder", folder, 0.95, f"{count} files", stream)
    yield Suggestion("files", group.glob, 0.9, "names that differ in digits", stream)
    if group.order != "name":
        yield Suggestion("order", group.order, 0.8, "digits in the names", stream)
    if done is not None:
        yield Suggestion("ripe", "done-file", 0.8, "trigger files", stream)
        yield Suggestion("done_file", done, 0.8, "trigger files", stream)
    beside = "a person must say: delta, snapshot or records"
    yield Suggestion("content", "snapshot", 0.3, beside, stream)


def _sample(
    storage: Storage, folder: str, group: Group, stream: str, warnings: list[str]
) -> Iterator[Suggestion]:
    head = _head(storage, join(folder, group.files[0].name), group.files[0].size)
    if not head:
        return
    packed = next((words for magic, words in _MAGIC if head.startswith(magic)), None)
    if packed:
        warnings.append(
            f"{stream}: the files are packed ({packed}); unpacked by itself"
        )
        return
    best, sure = _best(head)
    if best is None:
        warnings.append(f"{stream}: no format was recognised")
        return
    yield Suggestion("format", best.name, sure, "the first bytes of a file", stream)
    table = best.suggest(head)
    if table:
        yield Suggestion(best.name, table, sure, "the first bytes of a file", stream)
    yield from _columns(best, head, table, stream, sure)


def _best(head: bytes) -> tuple[type[Format] | None, float]:
    scored = [(kind.sniff(head), kind.name, kind) for kind in all_formats().values()]
    sure, _, best = max(scored, default=(0.0, "", None), key=lambda one: one[:2])
    return (best, sure) if sure >= _SURE else (None, 0.0)


def _columns(
    kind: type[Format], head: bytes, table: dict[str, Any], stream: str, sure: float
) -> Iterator[Suggestion]:
    try:
        fields = kind.fields(head, kind.Config.model_validate(table))
    except (MoatbridgeError, ValueError):
        return
    if not fields:
        return
    told = {name: _spec(spec) for name, spec in fields.items()}
    yield Suggestion("fields", told, sure * 0.9, "columns of a sample", stream)
    key = next((name for name in fields if is_key(name)), next(iter(fields)))
    certain = 0.8 if is_key(key) else 0.3
    yield Suggestion("key", [key], certain, "the column's name", stream)
    for name in filter(is_action, fields):
        value = {"field": name}
        yield Suggestion("action", value, 0.5, "the column's name", stream)
    described = tuple(
        Field(name, field_type(spec.type)) for name, spec in fields.items()
    )
    if suggested_for(described)[0] is not None:
        yield from suggested_by_names(Stream(stream, described, key=(key,)))


def _spec(spec: FieldSpec) -> Any:
    told = spec.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    return {"type": spec.type, **told} if set(told) - {"type"} else spec.type


def _head(storage: Storage, path: str, size: int) -> bytes:
    """The first bytes of a file; empty if it cannot be read."""
    head = b""
    try:
        chunks = storage.read(path, size=size)
        for chunk in chunks:
            head += chunk
            if len(head) >= SAMPLE:
                break
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    except (StorageFault, MoatbridgeError):
        return b""
    return head[:SAMPLE]
