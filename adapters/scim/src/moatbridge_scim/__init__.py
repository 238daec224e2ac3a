"""The scim adapter."""
