"""Settings of SOAP systems and their streams (soap 2)."""

from __future__ import annotations

from moatbridge_soap.config.system import SoapConfig, SoapStreamConfig

__all__ = ["SoapConfig", "SoapStreamConfig"]
