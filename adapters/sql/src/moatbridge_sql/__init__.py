"""moatbridge adapter for relational databases.

Importing this loads neither SQLAlchemy nor a driver; opening a connection does.
"""

from __future__ import annotations

from moatbridge_sql._adapter import SqlAdapter
from moatbridge_sql._config import Condition, Deleted, SqlConfig, SqlStreamConfig

__all__ = ["Condition", "Deleted", "SqlAdapter", "SqlConfig", "SqlStreamConfig"]
