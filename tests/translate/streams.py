"""Streams and translators that several tests use."""

from __future__ import annotations

from functools import partial

from moatbridge.adapter import Field, Stream
from moatbridge.entities import Converter, Fault
from moatbridge.translate import Translator

LDAP = Stream(
    "people",
    (
        Field("uid", required=True),
        Field("givenName", multi=True),
        Field("sn", multi=True),
        Field("mail", multi=True),
        Field("telephoneNumber"),
        Field("userAccountControl", "int"),
        Field("manager", "reference", to="people", by="name"),
        Field("badge", label="restricted"),
        Field("cn", multi=True, required=True),
        Field("objectClass", multi=True, required=True),
        Field("diary"),
    ),
    case_insensitive=True,
)
NATIVE = Stream(
    "people",
    (
        Field("userName", required=True),
        Field("name", "object", fields=(Field("givenName"), Field("familyName"))),
        Field(
            "emails",
            "object",
            multi=True,
            fields=(Field("value"), Field("type"), Field("primary", "bool")),
        ),
        Field("active", "bool"),
        Field("displayName"),
        Field(
            "enterprise",
            "object",
            fields=(Field("manager", "reference", to="people"), Field("department")),
        ),
    ),
    native=True,
)
GROUPS = Stream(
    "groups",
    (Field("cn"), Field("member", "reference", multi=True, to="people", by="name")),
)
NATIVE_GROUPS = Stream(
    "groups",
    (
        Field("displayName", required=True),
        Field(
            "members",
            "object",
            multi=True,
            fields=(Field("value", "reference", to="people"), Field("type")),
        ),
    ),
    native=True,
)

DISABLED = 0x2


def _enabled(value):
    if not isinstance(value, int):
        raise Fault("not a number")
    return not value & DISABLED


def _enable(value, before):
    current = 512 if before is None else before
    return current & ~DISABLED if value else current | DISABLED


def _bit(mask, value):
    return bool(value & mask)


def _set_bit(mask, value, before):
    current = before or 0
    return current | mask if value else current & ~mask


ENABLED = Converter("ad.enabled", _enabled, _enable, needs_before=True, version="1")


def bit(mask):
    return Converter(
        f"bit{mask}", partial(_bit, mask), partial(_set_bit, mask), needs_before=True
    )


PEOPLE_TABLE = {
    "entity": "Person",
    "fields": {
        "userName": "uid",
        "name.givenName": {"from": "givenName", "pick": "min"},
        "name.familyName": {"from": "sn", "pick": "min"},
        "emails[type=work].value": {"from": "mail", "via": "lower", "pick": "min"},
        "phoneNumbers[type=work].value": "telephoneNumber",
        "displayName": {"template": "{givenName} {sn}"},
        "userType": {"const": "Employee"},
        "enterprise.manager": {"ref": "hr/people", "from": "manager", "by": "name"},
        'extensions."com.acme.hr".badge': "badge",
    },
    "back": {
        "objectClass": {"const": ["top", "person"]},
        "cn": {"template": "{displayName}"},
    },
}
RECORD = {
    "uid": "ada",
    "givenName": ["Ada"],
    "sn": ["Lovelace"],
    "mail": ["Z@x.org", "A@x.org"],
    "telephoneNumber": "1",
    "userAccountControl": 512,
    "manager": "cn=boss",
    "badge": "17",
    "cn": ["Ada"],
    "objectClass": ["top"],
    "diary": "psst",
}


def people(**more):
    table = {**PEOPLE_TABLE, "fields": {**PEOPLE_TABLE["fields"], **more}}
    return Translator.from_table(table).bind(LDAP, "hr/people")
