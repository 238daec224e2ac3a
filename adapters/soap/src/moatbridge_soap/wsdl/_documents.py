"""Parsed WSDLs, shared by every connection of this process (soap 10).

300 operations take 100 ms and 13 MiB to parse, and zeep's document cannot be pickled,
so it is kept as long as its files are unchanged (a download: for a day). zeep builds
parts of it at first use; `Description.lock` is held then. Afterwards it is only read.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zeep import Settings
from zeep.wsdl import Document

from moatbridge.errors import ConfigurationError, MoatbridgeError
from moatbridge_soap.decode import note_substitutions
from moatbridge_soap.wsdl._cache import FRESH
from moatbridge_soap.wsdl._sources import Sources
from moatbridge_soap.wsdl._transport import LoadingTransport
from moatbridge_soap.wsdl._xml import refused

if TYPE_CHECKING:
    from moatbridge.adapter import Net
    from moatbridge_soap.config import SoapConfig

MOST: Final = 64
"""Parsed WSDLs that a process keeps."""

SETTINGS: Final = {
    "strict": True,
    "forbid_dtd": True,
    "forbid_entities": True,
    "xml_huge_tree": False,
    "raw_response": True,
}


def zeep_settings() -> Settings:
    """Settings of zeep, always the same: strict, no DTD, answers undecoded."""
    return Settings(**SETTINGS)


@dataclass
class Description:
    """One parsed WSDL.

    Args:
        document: zeep's.
        digest: Of all documents.
        files: Local files it was read from: path -> (time of change, size).
        remote: It was downloaded.
        addressing: It announces WS-Addressing.
        compiled: What users of the description derive from it once.
        lock: Held while zeep or we build something in it.
        made: When, on the monotonic clock.
    """

    document: Any
    digest: str
    files: dict[str, tuple[int, int]]
    remote: bool
    addressing: bool = False
    compiled: dict[Any, Any] = field(default_factory=dict, repr=False)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    made: float = field(default_factory=time.monotonic)

    def current(self) -> bool:
        """True while the documents are what they were."""
        if self.remote and time.monotonic() - self.made > FRESH:
            return False
        return all(_stamp(path) == stamp for path, stamp in self.files.items())


class _Shelf:
    """Descriptions by what their configuration says. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Any, Description] = OrderedDict()

    def get(self, key: Any) -> Description | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        return found if found is not None and found.current() else None

    def put(self, key: Any, made: Description) -> None:
        with self._lock:
            self._kept[key] = made
            self._kept.move_to_end(key)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)


_SHELF: Final = _Shelf()


def describe(config: SoapConfig, net: Net | None) -> Description:
    """The parsed WSDL of a system; a second call costs a look at its files.

    Args:
        config: The system's settings.
        net: For downloads.

    Raises:
        ConfigurationError: ``soap.wsdl``, ``soap.import-refused``.
        NotApplied: It cannot be downloaded now.
    """
    key = (
        config.wsdl,
        tuple(sorted(config.documents.items())),
        config.import_origins,
        config.max_wsdl,
    )
    found = _SHELF.get(key)
    if found is None:
        found = _parse(config, net)
        _SHELF.put(key, found)
    return found


def _parse(config: SoapConfig, net: Net | None) -> Description:
    sources = Sources(config, net)
    try:
        document = Document(
            sources.root,
            LoadingTransport(sources),  # type: ignore[arg-type] # it stands for a class there
            settings=zeep_settings(),
        )
    except MoatbridgeError:
        raise
    except RecursionError:
        raise refused(sources.last, "is nested too deep") from None
    except Exception as error:  # noqa: BLE001 - zeep raises errors of every kind here
        raise _unreadable(sources.last, error) from None
    finally:
        sources.close()
    note_substitutions(document.types, sources.substitutions)
    return Description(
        document,
        sources.digest,
        sources.files,
        sources.remote,
        sources.addressing,
    )


def _unreadable(url: str, error: Exception) -> ConfigurationError:
    line = getattr(error, "sourceline", None)
    where = f", line {line}" if isinstance(line, int) else ""
    words = f"cannot be understood ({type(error).__name__}{where})"
    return refused(url, words)


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
