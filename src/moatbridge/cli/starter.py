"""The first configuration file, commented: pure text.

It names no secret, only references, and decides nothing that a company must decide:
which data the platform may receive stays open unless it was said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.cli.toml_text import value

if TYPE_CHECKING:
    from collections.abc import Sequence

LEGACY: Final = ("ldap", "sql")
PLATFORMS: Final = ("scim",)
LABELS: Final = ("public", "internal", "confidential", "restricted")

_HEAD: Final = """\
# moatbridge: what is carried from where to where. Next steps:
#   1. put real addresses in the place of *.example, and the secrets where the
#      references (env:NAME, file:PATH, keyring:NAME) point to
#   2. moatbridge check               who are we, what may we do, what would leave
#   3. moatbridge discover hr         suggests streams, fields and translators
#   4. moatbridge plan people         shows everything it would do; sends nothing
#   5. moatbridge apply people        carries the plan out, after you agreed

[ledger]
# The durable memory. Keep it on a local disk and back it up.
url = "sqlite:///moatbridge.db"
"""

_GUARD: Final = """
[guard]
# Limits on what one plan may do stand at safe values; see what `plan` says first.
# While this file exists, nothing is sent:
kill_file = "moatbridge.kill"
"""

_SOURCES: Final = {
    "ldap": """
[systems.hr]
adapter = "ldap"
urls = ["ldaps://ldap.corp.example"]
# An account that can only read is enough.
auth = { kind = "simple", bind_dn = "cn=moatbridge,ou=services,dc=corp,dc=example", \
password = "env:HR_PASSWORD" }

[streams."hr/people"]
bases = [{ dn = "ou=people,dc=corp,dc=example" }]
filter = "(objectClass=inetOrgPerson)"
fields = ["uid", "givenName", "sn", "displayName", "mail"]

[streams."hr/people".translator]
entity = "Person"

# Only what is named here leaves the directory.
[streams."hr/people".translator.fields]
userName = "uid"
"name.givenName" = "givenName"
"name.familyName" = "sn"
displayName = "displayName"
"emails[type=work].value" = "mail"
""",
    "sql": """
[systems.hr]
adapter = "sql"
# Without the password; an account that can only read is enough.
url = "postgresql+psycopg://moatbridge@db.corp.example/hr"
password = "env:HR_PASSWORD"

[streams."hr/people"]
table = "people"
key = ["id"]
fields = ["id", "login", "given_name", "family_name", "display_name", "mail"]

[streams."hr/people".translator]
entity = "Person"

# Only what is named here leaves the database.
[streams."hr/people".translator.fields]
userName = "login"
"name.givenName" = "given_name"
"name.familyName" = "family_name"
displayName = "display_name"
"emails[type=work].value" = "mail"
""",
}

_TARGETS: Final = {
    "scim": """
[systems.social]
adapter = "scim"
base_url = "https://social.example/scim/v2"
auth = {{ kind = "bearer", token = "env:SOCIAL_TOKEN" }}
{label}

# A SCIM platform's people have the entity's own shape: no translator is needed.
[streams."social/people"]
""",
}

_FLOW: Final = """
[flows.people]
from = "hr/people"
to = "social/people"
# How the first run finds people who have an account already:
match = ["userName"]
# People who leave are disabled, not removed.
deletes = "disable"
require = "effectively-once"
"""


def starter(
    *,
    legacy: str = "ldap",
    platform: str = "scim",
    max_label: str | None = None,
    home_domains: Sequence[str] = (),
) -> str:
    """A complete configuration file with placeholders.

    Args:
        legacy: One of `LEGACY`.
        platform: One of `PLATFORMS`.
        max_label: Highest label of data that the platform may receive; None leaves
            the decision open, and `check` asks for it.
        home_domains: Mail domains of the company.
    """
    parts = [_HEAD, _GUARD]
    if home_domains:
        parts.append(f"home_domains = {value(list(home_domains))}\n")
    parts += [_SOURCES[legacy], _TARGETS[platform].format(label=_label(max_label))]
    return "".join([*parts, _FLOW])


def _label(max_label: str | None) -> str:
    if max_label is not None:
        return f"max_label = {value(max_label)}"
    return (
        "# Data about people is labelled confidential. If the platform may have it,\n"
        '# say so:\n# max_label = "confidential"'
    )
