"""The HTTP floor under every adapter that speaks HTTP (platforms 1-8).

One small port, `HttpClient`; pure functions round it. Importing this package is
cheap: ``httpx2`` (extra ``[http]``) is loaded when a client is opened.
"""

from __future__ import annotations

from moatbridge.http.api import JsonApi
from moatbridge.http.client import HttpClient, Response
from moatbridge.http.credentials import (
    Auth,
    BasicAuth,
    BearerAuth,
    Credentials,
    HeaderAuth,
    MutualTls,
)
from moatbridge.http.rate import RateInfo, clock_warnings, rate_info
from moatbridge.http.settings import HttpConfig
from moatbridge.http.status import Judgement, check_read, check_write, judge
from moatbridge.http.strict_json import dump_json, parse_json
from moatbridge.http.url import BaseUrl

__all__ = [
    "Auth",
    "BaseUrl",
    "BasicAuth",
    "BearerAuth",
    "Credentials",
    "HeaderAuth",
    "HttpClient",
    "HttpConfig",
    "JsonApi",
    "Judgement",
    "MutualTls",
    "RateInfo",
    "Response",
    "check_read",
    "check_write",
    "clock_warnings",
    "dump_json",
    "judge",
    "parse_json",
    "rate_info",
]
