"""The bridge that parts of a configuration in the pages are laid over."""

from __future__ import annotations

import tomllib

BASE = tomllib.loads("""
[systems.hr]
adapter = "ldap"
urls = ["ldaps://ldap.corp.example"]
auth = { kind = "simple", bind_dn = "cn=moatbridge,dc=corp,dc=example", password = "env:HR_PASSWORD" }
max_label = "confidential"

[streams."hr/people"]
bases = [{ dn = "ou=people,dc=corp,dc=example" }]
fields = ["uid", "givenName", "sn", "mail", "mobile", "preferredLanguage"]

[streams."hr/people".translator]
entity = "Person"
[streams."hr/people".translator.fields]
userName = { from = "uid", pick = "min" }

[systems.social]
adapter = "scim"
base_url = "https://social.example/scim/v2"
auth = { kind = "bearer", token = "env:SOCIAL_TOKEN" }
max_label = "confidential"

[streams."social/people"]

[flows.people]
from = "hr/people"
to = "social/people"
""")
