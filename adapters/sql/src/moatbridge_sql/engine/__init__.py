"""The only package that knows SQLAlchemy and the drivers; implements the port."""

from __future__ import annotations

from moatbridge_sql.engine._session import open_database

__all__ = ["open_database"]
