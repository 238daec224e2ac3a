"""The demo's servers: each a real program, or HTTP written against the standard."""

from moatbridge.demo.servers.database import Database, Postgres, Sqlite, new_database
from moatbridge.demo.servers.erp import Erp
from moatbridge.demo.servers.mastodon import MastodonServer
from moatbridge.demo.servers.openldap import OpenLdap
from moatbridge.demo.servers.programs import Failed, Missing
from moatbridge.demo.servers.receiver import Receiver
from moatbridge.demo.servers.scim import ScimServer
from moatbridge.demo.servers.sshd import SshServer

__all__ = [
    "Database",
    "Erp",
    "Failed",
    "MastodonServer",
    "Missing",
    "OpenLdap",
    "Postgres",
    "Receiver",
    "ScimServer",
    "Sqlite",
    "SshServer",
    "new_database",
]
