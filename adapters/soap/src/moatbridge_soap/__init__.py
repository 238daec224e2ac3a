"""The soap adapter: operations of any WSDL as streams, by declaration only."""

from __future__ import annotations

from moatbridge_soap.adapter import SoapAdapter
from moatbridge_soap.config import SoapConfig, SoapStreamConfig

__all__ = ["SoapAdapter", "SoapConfig", "SoapStreamConfig"]
