"""HTTP for SOAP: one connection, whole errors, no redirects (soap 3.B)."""

from __future__ import annotations

from moatbridge_soap.http._answer import HttpAnswer
from moatbridge_soap.http._connection import Connection
from moatbridge_soap.http._endpoint import Endpoint, HttpAuth

__all__ = ["Connection", "Endpoint", "HttpAnswer", "HttpAuth"]
