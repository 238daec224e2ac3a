"""What RFC 7643 says, for peers without discovery endpoints (platforms 11). Data."""

from __future__ import annotations

from typing import Any, Final

from moatbridge.entities.scim import ENTERPRISE, GROUP, USER


def _texts(names: str) -> list[dict[str, Any]]:
    return [{"name": name, "type": "string"} for name in names.split()]


def _complex(name: str, parts: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "complex", "subAttributes": parts, **more}


_ENTRY: Final = [*_texts("value display type"), {"name": "primary", "type": "boolean"}]
_NAME: Final = _texts(
    "formatted familyName givenName middleName honorificPrefix honorificSuffix"
)
_ADDRESS: Final = _texts(
    "formatted streetAddress locality region postalCode country type"
)
_LISTS: Final = ("emails", "phoneNumbers", "ims", "photos", "entitlements", "roles")
_USER_NAME: Final = {
    "name": "userName",
    "type": "string",
    "required": True,
    "uniqueness": "server",
}

SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    USER.lower(): {
        "attributes": [
            _USER_NAME,
            _complex("name", _NAME),
            *_texts("displayName nickName profileUrl title userType"),
            *_texts("preferredLanguage locale timezone"),
            {"name": "active", "type": "boolean"},
            *(_complex(name, _ENTRY, multiValued=True) for name in _LISTS),
            _complex("addresses", _ADDRESS, multiValued=True),
        ]
    },
    GROUP.lower(): {
        "attributes": [
            {"name": "displayName", "type": "string", "required": True},
            _complex("members", _texts("value type display"), multiValued=True),
        ]
    },
    ENTERPRISE.lower(): {
        "attributes": [
            *_texts("employeeNumber costCenter organization division department"),
            _complex("manager", _texts("value")),
        ]
    },
}

RESOURCE_TYPES: Final[list[dict[str, Any]]] = [
    {
        "name": "User",
        "endpoint": "/Users",
        "schema": USER,
        "schemaExtensions": [{"schema": ENTERPRISE}],
    },
    {"name": "Group", "endpoint": "/Groups", "schema": GROUP},
]
