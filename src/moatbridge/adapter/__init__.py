"""The interface that authors implement: `Adapter`, and one ABC per ability.

Everything an adapter may import from the core is public in `moatbridge.adapter`,
`moatbridge.changes`, `moatbridge.entities`, `moatbridge.errors`, `moatbridge.http` and,
for its tests, `moatbridge.testing`.
"""

from __future__ import annotations

from moatbridge.adapter.abilities import (
    Ability,
    CanDiscover,
    CanFetch,
    CanFind,
    CanFollow,
    CanHint,
    CanReceive,
    CanScan,
    CanSettle,
    CanWrite,
)
from moatbridge.adapter.base import Adapter, AdapterConfig, PageSize
from moatbridge.adapter.each import EACH_BATCH, write_each
from moatbridge.adapter.files import Folder, FolderConfig, record_files
from moatbridge.adapter.fitting import fitting, misfit
from moatbridge.adapter.functions import StreamFunctions, make_adapter
from moatbridge.adapter.naming import (
    named_paths,
    plain_name,
    suggested_by_names,
    suggested_for,
)
from moatbridge.adapter.net import Address, Net, TlsSettings
from moatbridge.adapter.places import by_place
from moatbridge.adapter.receiving import Answer, Received, Request
from moatbridge.adapter.secret import Secret
from moatbridge.adapter.streams import (
    Field,
    FieldType,
    Partition,
    Probe,
    Query,
    Quota,
    Stream,
    Suggestion,
    Suggestions,
    WriteTraits,
)

__all__ = [
    "EACH_BATCH",
    "Ability",
    "Adapter",
    "AdapterConfig",
    "Address",
    "Answer",
    "CanDiscover",
    "CanFetch",
    "CanFind",
    "CanFollow",
    "CanHint",
    "CanReceive",
    "CanScan",
    "CanSettle",
    "CanWrite",
    "Field",
    "FieldType",
    "Folder",
    "FolderConfig",
    "Net",
    "PageSize",
    "Partition",
    "Probe",
    "Query",
    "Quota",
    "Received",
    "Request",
    "Secret",
    "Stream",
    "StreamFunctions",
    "Suggestion",
    "Suggestions",
    "TlsSettings",
    "WriteTraits",
    "by_place",
    "fitting",
    "make_adapter",
    "misfit",
    "named_paths",
    "plain_name",
    "record_files",
    "suggested_by_names",
    "suggested_for",
    "write_each",
]
