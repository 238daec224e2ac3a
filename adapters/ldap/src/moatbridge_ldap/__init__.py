"""The ldap adapter."""
