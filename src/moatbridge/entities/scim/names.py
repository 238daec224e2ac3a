"""The names that SCIM and our entities share, and the URNs that only SCIM has."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["Person", "Group"]

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_OP: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK_REQUEST: Final = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
LIST_RESPONSE: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"

SCHEMA_OF: Final[dict[Kind, str]] = {"Person": USER, "Group": GROUP}

TEXTS: Final[dict[Kind, tuple[str, ...]]] = {
    "Person": (
        "userName", "externalId", "displayName", "nickName", "profileUrl", "title",
        "userType", "preferredLanguage", "locale", "timezone",
    ),
    "Group": ("displayName", "externalId", "description"),
}  # fmt: skip
"""Single text attributes."""

NAME: Final = (
    "formatted", "familyName", "givenName", "middleName", "honorificPrefix",
    "honorificSuffix",
)  # fmt: skip

PLAIN_ENTRY: Final = ("value", "type", "primary", "display")
ADDRESS_ENTRY: Final = (
    "formatted", "streetAddress", "locality", "region", "postalCode", "country",
    "type", "primary",
)  # fmt: skip
MEMBER_ENTRY: Final = ("value", "type", "display")

LISTS: Final[dict[Kind, dict[str, tuple[str, ...]]]] = {
    "Person": {
        "emails": PLAIN_ENTRY,
        "phoneNumbers": PLAIN_ENTRY,
        "ims": PLAIN_ENTRY,
        "photos": PLAIN_ENTRY,
        "addresses": ADDRESS_ENTRY,
        "entitlements": PLAIN_ENTRY,
        "roles": PLAIN_ENTRY,
    },
    "Group": {"members": MEMBER_ENTRY},
}
"""Multi-valued attributes and the members of one entry."""

ENTERPRISE_TEXTS: Final = (
    "employeeNumber", "costCenter", "organization", "division", "department",
)  # fmt: skip

DESCRIPTIVE: Final = frozenset({"type", "primary", "display"})
"""Members that say something about an entry, but are no entry by themselves."""

TO_MEMBER_TYPE: Final = {"Person": "User", "Group": "Group"}
FROM_MEMBER_TYPE: Final = {"user": "Person", "group": "Group"}

READ_ONLY: Final = frozenset({"created", "updated", "groups", "id"})

SPELLINGS: Final = frozenset(
    {
        *TEXTS["Person"], *TEXTS["Group"], *LISTS["Person"], *LISTS["Group"], *NAME,
        *PLAIN_ENTRY, *ADDRESS_ENTRY, *MEMBER_ENTRY, *ENTERPRISE_TEXTS,
        "active", "manager", "name",
    }
)  # fmt: skip
"""Every attribute name an entity may hold, spelt as RFC 7643 spells it."""
