"""The SCIM edge: `Person` and `Group` <-> SCIM 2.0 JSON, pure and without I/O.

Entities keep SCIM's own names, so this is mostly about what SCIM adds: ``schemas``,
the enterprise extension's URN, ``manager`` as an object, ``meta``, and clearing, which
on the wire is a PATCH operation. Sources: RFC 7643 (2.5, 4.1-4.3), RFC 7644 (3.5.2).
"""

from __future__ import annotations

from moatbridge.entities.scim.merge import merged
from moatbridge.entities.scim.names import (
    BULK_REQUEST,
    ENTERPRISE,
    GROUP,
    LIST_RESPONSE,
    PATCH_OP,
    SPELLINGS,
    USER,
    Kind,
)
from moatbridge.entities.scim.owned import OwnedPath, parse_owned
from moatbridge.entities.scim.patch import patch_bodies, patch_operations
from moatbridge.entities.scim.shape import from_scim, to_scim

__all__ = [
    "BULK_REQUEST",
    "ENTERPRISE",
    "GROUP",
    "LIST_RESPONSE",
    "PATCH_OP",
    "SPELLINGS",
    "USER",
    "Kind",
    "OwnedPath",
    "from_scim",
    "merged",
    "parse_owned",
    "patch_bodies",
    "patch_operations",
    "to_scim",
]
