"""moatbridge adapter for LDAP directories and Active Directory (reading: LDAPv3).

Sources of protocol facts: RFC 4510-4519 (LDAP), 2696 (paging), 4527 (read entry), 4528
(assertion), 4530 (entryUUID), 4532 (who am I), 4533 (synchronization); [MS-ADTS] for
Active Directory.
"""

from __future__ import annotations

from moatbridge_ldap.adapter import LdapAdapter
from moatbridge_ldap.config import LdapConfig, LdapStreamConfig

__all__ = ["LdapAdapter", "LdapConfig", "LdapStreamConfig"]
