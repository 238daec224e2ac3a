"""The three real servers of the demo: OpenLDAP, PostgreSQL (or SQLite), SCIM."""

from moatbridge.demo.servers.database import Database, Postgres, Sqlite, new_database
from moatbridge.demo.servers.openldap import OpenLdap
from moatbridge.demo.servers.programs import Failed, Missing
from moatbridge.demo.servers.scim import ScimServer

__all__ = [
    "Database",
    "Failed",
    "Missing",
    "OpenLdap",
    "Postgres",
    "ScimServer",
    "Sqlite",
    "new_database",
]
