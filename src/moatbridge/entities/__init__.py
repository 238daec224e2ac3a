"""Canonical data: entity types, their labels, paths into them, and converters.

Plain data and pure functions on the standard library only; adapters may import all of
it. An entity is an ordinary dict of JSON values (entities 1-9).
"""

from __future__ import annotations

from moatbridge.entities.audience import AUDIENCES, AudienceKind, narrower, wider
from moatbridge.entities.canonical import canonical_json, fingerprint
from moatbridge.entities.checking import check
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
from moatbridge.entities.problem import Problem
from moatbridge.entities.registry import EntityTypes, entity_type
from moatbridge.entities.shapes import Attribute, EntityType, Shape
from moatbridge.entities.social import (
    DECISION,
    POST,
    REACTION,
    Attachment,
    Audience,
    Blob,
    Business,
    Decision,
    Post,
    Reaction,
    Tag,
)

__all__ = [
    "AUDIENCES",
    "DECISION",
    "GROUP",
    "LABELS",
    "PERSON",
    "POST",
    "REACTION",
    "Address",
    "Attachment",
    "Attribute",
    "Audience",
    "AudienceKind",
    "Blob",
    "Business",
    "Converter",
    "Converters",
    "Decision",
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
    "Post",
    "Problem",
    "Reaction",
    "Reference",
    "Shape",
    "Tag",
    "canonical_json",
    "check",
    "entity_type",
    "fingerprint",
    "highest",
    "label",
    "narrower",
    "rank",
    "wider",
]
