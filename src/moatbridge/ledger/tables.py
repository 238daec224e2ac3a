"""All tables of the ledger, as SQLAlchemy knows them; this import brings SQLAlchemy.

Whoever opens a SQLite ledger that is new or up to date never comes here.
"""

from __future__ import annotations

from typing import Final

from moatbridge.ledger import schema_content, schema_delivery, schema_work

TABLES: Final = schema_content.TABLES

WORK: Final = schema_work.NAMES
DELIVERY: Final = schema_delivery.NAMES
