"""Names of files and folders, from templates and patterns. Pure.

A path is ``/``-separated text relative to the system's base, as `storage` takes it. A
setting that names a path means one below the stream's folder, or, where it begins with
``/``, one below the base.
"""

from __future__ import annotations

import fnmatch
import hashlib
import posixpath
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LONGEST_NAME: Final = 255
_FIELD: Final = re.compile(r"\{([a-z0-9_]+)\}")
_PLACES: Final = frozenset({"state", "stream", "yyyy", "mm", "dd"})
_FILE: Final = frozenset({"name", "stem", "ext"})
_PUBLISHED: Final = frozenset({"stream", "utc", "key", "ext"})
KINDS: Final = {
    "folder": _PLACES,
    "beside": _PLACES | _FILE,
    "published": _PUBLISHED,
    "done": _FILE,
}


def join(folder: str, name: str) -> str:
    """A path below a folder; ``.`` is the base itself."""
    return name if folder in ("", ".") else f"{folder}/{name}"


def within(folder: str, path: str) -> str:
    """The path that a setting of a stream in ``folder`` means."""
    clean = path.strip("/") or "."
    return posixpath.normpath(clean if path.startswith("/") else join(folder, clean))


def is_below(folder: str, path: str) -> bool:
    """Whether a path lies somewhere in a folder."""
    return folder == "." or path.startswith(f"{folder}/")


def check_path(path: str) -> str:
    """Refuse what could lead out of the base.

    Raises:
        ValueError: An empty part, ``..``, a backslash or a control character.
    """
    parts = path.strip("/").split("/")
    if ".." in parts or "\\" in path or any(ord(char) < ord(" ") for char in path):
        raise ValueError("must be a path below `url` without `..` and `\\`")
    return path


def check_template(template: str, kind: str) -> str:
    """Refuse unknown fields of a template.

    Raises:
        ValueError: Names the fields that are known.
    """
    known = KINDS[kind]
    for name in _FIELD.findall(template):
        if name not in known:
            words = ", ".join(f"{{{one}}}" for one in sorted(known))
            raise ValueError(f"unknown field {{{name}}}; there are {words}")
    return check_path(template)


def filled(template: str, **values: str) -> str:
    """A template with its fields replaced; others stay as they are."""
    return _FIELD.sub(lambda found: values.get(found[1], found[0]), template)


def front(template: str) -> str:
    """The folder in front of the first field of a template; empty if there is none."""
    head, brace, _ = template.partition("{")
    return head.rpartition("/")[0] if brace else head


def parts_of(name: str) -> dict[str, str]:
    """``name``, ``stem`` and ``ext`` (without its dot) of a file's relative path."""
    folder, slash, last = name.rpartition("/")
    stem, dot, ext = last.rpartition(".")
    return {
        "name": name,
        "stem": folder + slash + (stem if dot and stem else last),
        "ext": ext if dot and stem else "",
    }


def dated(moment: float) -> dict[str, str]:
    """Template fields of a moment (seconds since 1970), in UTC."""
    at = datetime.fromtimestamp(moment, UTC)
    return {
        "yyyy": f"{at:%Y}",
        "mm": f"{at:%m}",
        "dd": f"{at:%d}",
        "utc": f"{at:%Y%m%dT%H%M%SZ}",
    }


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Whether the last part of a path fits one of these patterns, with case."""
    found = [re.compile(fnmatch.translate(glob)) for glob in globs]

    def fits(name: str) -> bool:
        last = name.rpartition("/")[2]
        return any(pattern.match(last) for pattern in found)

    return fits


def digest_of(name: str) -> str:
    """What stands for a name that may be personal."""
    return hashlib.blake2b(name.encode(), digest_size=4).hexdigest()


def usual_names(globs: Iterable[str]) -> list[str]:
    """A name that fits each of these patterns."""
    return [re.sub(r"\[[^]]*]|[*?]", "x", glob) for glob in globs]


def shown(name: str) -> str:
    """A remote name as it may stand in a message: escaped and of bounded length."""
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"
