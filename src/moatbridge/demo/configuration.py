"""The bridge's configuration, as a file that people can read (``--keep``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.demo.seed import GROUPS, PEOPLE
from moatbridge.demo.servers.openldap import BRIDGE

if TYPE_CHECKING:
    from pathlib import Path

    from moatbridge.demo.seed import Size
    from moatbridge.demo.servers import Database, OpenLdap, ScimServer

FILE: Final = "moatbridge.toml"
LEASE: Final = 5.0
"""Seconds after which a killed process's leases are free again."""
_SECRETS: Final = ("directory-password", "hr-password", "social-token")

_NETWORK: Final = 'allow_networks = ["127.0.0.0/8"]\n'

_TEXT: Final = """\
# The demo's bridge. All servers are on this machine, hence `insecure_cleartext`.
[ledger]
url = "sqlite:///ledger.db"
parcel = {parcel}

[run]
ttl = {lease}      # seconds: a killed worker's leases are free again after this

[systems.directory]
adapter = "ldap"
urls = ["{directory}"]
starttls = "off"
insecure_cleartext = true
allow_networks = ["127.0.0.0/8"]
max_label = "confidential"
auth = {{ kind = "simple", bind_dn = "{bridge}", password = "file:directory-password" }}

[streams."directory/people"]
bases = [{{ dn = "{people}" }}]
filter = "(objectClass=inetOrgPerson)"
fields = [
  "uid", "givenName", "sn", "mail", "telephoneNumber", "mobile",
  {{ attribute = "title", multi = false }}, "employeeNumber", "departmentNumber",
  "preferredLanguage", "employeeType",
  {{ attribute = "manager", type = "reference", to = "people" }},
]

[streams."directory/people".translator]
entity = "Person"
[streams."directory/people".translator.fields]
"userName" = {{ from = "uid", pick = "min" }}
"name.givenName" = {{ from = "givenName", pick = "min" }}
"name.familyName" = {{ from = "sn", pick = "min" }}
"emails[type=work].value" = {{ from = "mail", pick = "min" }}
"phoneNumbers[type=work].value" = {{ from = "telephoneNumber", pick = "min" }}
"phoneNumbers[type=mobile].value" = {{ from = "mobile", pick = "min" }}
"title" = "title"
"preferredLanguage" = "preferredLanguage"
"enterprise.employeeNumber" = "employeeNumber"
"enterprise.department" = {{ from = "departmentNumber", pick = "min" }}
"enterprise.manager" = {{ ref = "directory/people", from = "manager", by = "name" }}

[streams."directory/groups"]
bases = [{{ dn = "{groups}" }}]
filter = "(objectClass=groupOfNames)"
fields = ["cn", {{ attribute = "member", type = "reference", to = "people" }}]

[streams."directory/groups".translator]
entity = "Group"
[streams."directory/groups".translator.fields]
"displayName" = {{ from = "cn", pick = "min" }}
"members" = {{ each = "member", ref = "directory/people", by = "name" }}

[systems.hr]
adapter = "sql"
url = "{hr}"
{hr_extra}
[streams."hr/contractors"]
table = "contractors"
fields = ["contract_no", "login", "given_name", "family_name", "email", "agency"]

[streams."hr/contractors".translator]
entity = "Person"
[streams."hr/contractors".translator.fields]
"userName" = "login"
"name.givenName" = "given_name"
"name.familyName" = "family_name"
"emails[type=work].value" = "email"
"enterprise.organization" = "agency"
"userType" = {{ const = "Contractor" }}

[systems.social]
adapter = "scim"
base_url = "{social}"
insecure_cleartext = true
allow_networks = ["127.0.0.0/8"]
auth = {{ kind = "bearer", token = "file:social-token" }}
max_label = "confidential"
exposure = "internal"
quota.write = {{ rate = 6, burst = 1 }}     # what the platform's plan allows a second

[streams."social/people"]
[streams."social/groups"]
remove = "delete"

[flows.people]
from = "directory/people"
to = "social/people"

[flows.profile]     # the way back: what people keep up themselves on the platform
from = "social/people"
to = "directory/people"
[flows.profile.owner]
"*" = "directory/people"
"phoneNumbers[type=mobile].value" = "social/people"
"preferredLanguage" = "social/people"

[flows.groups]
from = "directory/groups"
to = "social/groups"
match = ["externalId"]

[flows.contractors]
from = "hr/contractors"
to = "social/people"
"""


def write(
    folder: Path,
    directory: OpenLdap,
    hr: Database,
    social: ScimServer,
    size: Size,
    more: tuple[str, dict[str, str]],
) -> Path:
    """Write the configuration and its secrets; returns the configuration's path.

    The secrets lie in files of their own that only we may read.

    Args:
        folder: Where.
        directory: People and groups.
        hr: Contractors.
        social: The SCIM platform.
        size: Of the company.
        more: Further text, and the secrets it names.
    """
    text, secrets = more
    values = (directory.password, hr.password, social.token)
    for name, value in {**dict(zip(_SECRETS, values, strict=True)), **secrets}.items():
        secret = folder / name
        secret.touch(0o600)
        secret.write_text(value)
    file = folder / FILE
    extra = ""
    if hr.password:
        extra = _NETWORK + 'insecure_cleartext = true\npassword = "file:hr-password"\n'
    file.write_text(
        _TEXT.format(
            directory=directory.url,
            lease=LEASE,
            bridge=BRIDGE,
            people=PEOPLE,
            groups=GROUPS,
            hr=hr.url,
            hr_extra=extra,
            social=social.url,
            parcel=max(10, size.contractors // 8),
        )
        + text
    )
    return file
