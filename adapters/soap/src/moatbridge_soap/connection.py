"""One open connection: the WSDL bound to the configuration, the socket, the login."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied
from moatbridge_soap.auth import http_auth, login_of, signature_of
from moatbridge_soap.call import Caller
from moatbridge_soap.compiling import compile_stream
from moatbridge_soap.http import Endpoint
from moatbridge_soap.operation import Compiler
from moatbridge_soap.session import Login, compile_login
from moatbridge_soap.signatures import signer_for
from moatbridge_soap.wsdl import choose_port, describe

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from moatbridge.adapter import Net
    from moatbridge_soap.config import SoapConfig
    from moatbridge_soap.http import HttpAnswer
    from moatbridge_soap.streams import CompiledStream

_MOST_COMPILED = 256


class Connection:
    """See the module. One thread at a time.

    Args:
        config: The system's settings.
        streams: Local name -> the stream's settings.
        net: The way to the network.
    """

    def __init__(
        self, config: SoapConfig, streams: Mapping[str, Any], net: Net
    ) -> None:
        self.config = config
        self.net = net
        self.description = describe(config, net)
        self.port = choose_port(self.description.document, config)
        self.endpoint = Endpoint(
            net,
            config.endpoint,
            proxy=config.proxy,
            limit=config.max_response,
            auth=http_auth(config),
        )
        self._login_config = login_of(config)
        self._compiler = Compiler(config, self.port, self._login_config)
        self.streams: dict[str, CompiledStream] = {
            name: self._compiled(name, settings) for name, settings in streams.items()
        }
        signer = signer_for(signature_of(config))
        self.caller = self._caller(signer)
        self._signer = signer

    def open(self) -> None:
        """Connect, log in, ping.

        Raises:
            ConfigurationError: ``net.*``, ``soap.auth`` and the like.
            NotApplied: Unreachable now.
        """
        self.endpoint.connect()
        if self._login_config is not None:
            operation = compile_login(self._compiler, self._login_config)
            first = self._caller(self._signer)
            login = Login(self._login_config, operation, first)
            login.ensure()
            self.caller.use_login(login)
        if self.config.ping is not None:
            self._ping()

    def close(self) -> None:
        """Close the connection; idempotent, never raises."""
        self.endpoint.close()

    def head(self) -> HttpAnswer:
        """Ask the endpoint for nothing but headers; any status will do.

        Raises:
            ConfigurationError: ``net.*``.
            NotApplied: Unreachable now.
        """
        return self.endpoint.send("HEAD", None, {}, any_status=True)

    def server_time(self) -> dt.datetime | None:
        """The server's own time, if it tells it."""
        answer = self.head()
        answer.read_some(1)
        return answer.date

    def server_time_now(self) -> dt.datetime:
        """The server's own time.

        Raises:
            NotApplied: ``soap.no-time``: it does not tell it.
        """
        found = self.server_time()
        if found is None:
            words = "The service tells no time (no HTTP Date); set page.to."
            raise NotApplied(words, code="soap.no-time")
        return found

    def _caller(self, signer: Any) -> Caller:
        return Caller(self.config, self.description, self.port, self.endpoint, signer)

    def _ping(self) -> None:
        ping = self.config.ping
        assert ping is not None  # noqa: S101 - the caller looked
        operation = self._compiler.compile(ping, "ping")
        try:
            for _ in self.caller.read(operation, {}):
                pass
        except MoatbridgeError as error:
            if isinstance(error, ConfigurationError | NotApplied):
                raise
            raise ConfigurationError(error.message, code=error.code) from error

    def _compiled(self, name: str, settings: Any) -> CompiledStream:
        """Compiled streams are shared, like the WSDL they belong to."""
        description = self.description
        key = (
            name,
            settings.model_dump_json(),
            self.port.qname,
            self.config.timezone,
            self.config.tolerance,
            self.config.max_record,
            self.config.max_response,
            self.config.max_buffered,
            self.config.max_records,
            self._login_config.model_dump_json() if self._login_config else None,
        )
        with description.lock:
            found = description.compiled.get(key)
            if found is None:
                if len(description.compiled) >= _MOST_COMPILED:
                    description.compiled.clear()
                found = compile_stream(self._compiler, name, settings)
                description.compiled[key] = found
        compiled: CompiledStream = found
        return compiled
