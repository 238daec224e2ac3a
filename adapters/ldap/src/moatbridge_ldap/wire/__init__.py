"""How LDAP looks on the wire: BER, messages, filters, the session."""
