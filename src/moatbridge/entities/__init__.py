"""Canonical data: entity types, their labels, paths into them, and converters.

Plain data and pure functions on the standard library only; adapters may import all of
it. An entity is an ordinary dict of JSON values (entities 1-9).
"""

from __future__ import annotations

from moatbridge.entities.canonical import canonical_json, fingerprint
from moatbridge.entities.checking import Problem, check
from moatbridge.entities.conversion import Converter
from moatbridge.entities.converters import Converters
from moatbridge.entities.directory import (
    GROUP,
    PERSON,
    Address,
    Enterprise,
    Entry,
    Group,
    Member,
    Name,
    Person,
    Reference,
)
from moatbridge.entities.labels import LABELS, Label, highest, label, rank
from moatbridge.entities.plain import Fault
from moatbridge.entities.registry import EntityTypes, entity_type
from moatbridge.entities.shapes import Attribute, EntityType, Shape

__all__ = [
    "GROUP",
    "LABELS",
    "PERSON",
    "Address",
    "Attribute",
    "Converter",
    "Converters",
    "Enterprise",
    "EntityType",
    "EntityTypes",
    "Entry",
    "Fault",
    "Group",
    "Label",
    "Member",
    "Name",
    "Person",
    "Problem",
    "Reference",
    "Shape",
    "canonical_json",
    "check",
    "entity_type",
    "fingerprint",
    "highest",
    "label",
    "rank",
]
