"""A login's token: got by an operation of the service, dropped when it has expired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_soap.config.operations import OperationConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge_soap.call import Caller
    from moatbridge_soap.config.auth import LoginAuth
    from moatbridge_soap.operation import Compiler, Operation


class Login:
    """The session of one connection.

    Args:
        config: The ``login`` settings.
        operation: The compiled login operation.
        caller: A caller without login, over the same connection.
    """

    def __init__(self, config: LoginAuth, operation: Operation, caller: Caller) -> None:
        self.config = config
        self._operation = operation
        self._caller = caller
        self._token: str | None = None

    def ensure(self) -> None:
        """Log in unless there is a token.

        Raises:
            ConfigurationError: ``soap.auth``: refused.
            NotApplied: The service does not answer now.
        """
        if self._token is not None:
            return
        reading = self._caller.read(self._operation, self._secrets())
        try:
            for _ in reading:
                pass
        except NotApplied:
            raise
        except Exception as error:
            raise _refused(error) from error
        token = reading.text(self.config.token)
        if not token:
            raise _refused(None)
        self._token = token
        if self.config.into.cookie is not None:
            self._caller.endpoint.cookies.set(self.config.into.cookie, token)

    def drop(self) -> None:
        """Forget the token: the next call logs in again."""
        self._token = None
        self._caller.endpoint.cookies.clear()

    def values(self) -> Mapping[str, Any]:
        """The placeholder ``{login.token}``."""
        return {} if self._token is None else {"login.token": self._token}

    @property
    def header(self) -> tuple[str, str] | None:
        """Header block that holds the token, and its value."""
        place = self.config.into.header
        if place is None or self._token is None:
            return None
        return place, self._token

    def _secrets(self) -> dict[str, Any]:
        config = self.config
        found: dict[str, Any] = {
            f"login.{name}": secret.get_secret_value()
            for name, secret in config.secrets.items()
        }
        if config.username is not None:
            found["login.username"] = config.username
        if config.password is not None:
            found["login.password"] = config.password.get_secret_value()
        return found


def compile_login(compiler: Compiler, config: LoginAuth) -> Operation:
    """Bind the login operation to the WSDL.

    Raises:
        ConfigurationError: ``soap.path``.
    """
    table = OperationConfig(operation=config.operation, request=config.request)
    return compiler.compile(table, "auth.login", paths=[config.token])


def _refused(error: Exception | None) -> ConfigurationError:
    code = getattr(error, "code", "")
    why = f" ({code})" if code else ": the answer holds no token"
    return ConfigurationError(
        f"The login was refused{why}. Check auth and the account.", code="soap.auth"
    )
