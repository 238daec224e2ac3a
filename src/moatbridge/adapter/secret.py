"""Secrets are references in a configuration, never values (security 1-3)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr
from pydantic_core import PydanticCustomError, core_schema

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

SCHEMES: Final = ("env", "file", "keyring")
SHORTEST: Final = 6
"""Shorter values are refused: they could not be redacted from a log."""


class Secret:
    """A reference to a secret: ``env:NAME``, ``file:PATH`` or ``keyring:NAME``.

    The value is read each time `get_secret_value` is called, so rotation needs no
    restart; use it in the argument list of the call that needs it and keep no copy.
    In Python, a `pydantic.SecretStr` may stand in its place.
    """

    __slots__ = ("_held", "reference")

    def __init__(self, reference: str, held: SecretStr | None = None) -> None:
        self.reference = reference
        self._held = held

    def get_secret_value(self) -> str:
        """Resolve the reference now.

        Raises:
            ConfigurationError: ``secret.missing``, ``secret.unreadable``,
                ``secret.empty`` or ``secret.short``; never tells the value.
        """
        if self._held is not None:
            return _checked(self._held.get_secret_value(), self.reference)
        scheme, _, name = self.reference.partition(":")
        return _checked(_RESOLVERS[scheme](name), self.reference)

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (
            (self.reference, self._held) == (other.reference, other._held)
        )

    def __hash__(self) -> int:
        return hash(self.reference)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._held is not None:
            msg = "a secret held in memory is never pickled"
            raise TypeError(msg)
        return Secret, (self.reference,)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Accept a reference, a `SecretStr` or a `Secret`; a literal is an error."""
        del source, handler
        return core_schema.no_info_plain_validator_function(
            cls._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda secret: secret.reference
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the reference, for editors."""
        del schema, handler
        return {
            "type": "string",
            "pattern": "^(env|file|keyring):.+",
            "description": "A secret reference: env:NAME, file:PATH or keyring:NAME.",
        }

    @classmethod
    def _validate(cls, value: Any) -> Secret:
        if isinstance(value, Secret):
            return value
        if isinstance(value, SecretStr):
            return cls("(held in memory)", value)
        if isinstance(value, str):
            scheme, colon, name = value.partition(":")
            if colon and name and scheme in SCHEMES:
                return cls(value)
        kind = "secret_reference"
        raise PydanticCustomError(
            kind,
            "must be a secret reference (env:NAME, file:PATH or keyring:NAME), "
            "not the secret itself",
        )


def _checked(value: str, reference: str) -> str:
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise _broken("empty", reference, "is empty")
    if len(value) < SHORTEST:
        raise _broken("short", reference, f"has under {SHORTEST} characters")
    return value


def _broken(what: str, reference: str, words: str) -> ConfigurationError:
    return ConfigurationError(f"Secret {reference} {words}.", code=f"secret.{what}")


def _from_env(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise _broken("missing", f"env:{name}", "is not set in the environment")
    return value


def _from_file(name: str) -> str:
    path = Path(name)
    try:
        with path.open(encoding="utf-8") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _broken("unreadable", f"file:{name}", "is not a plain file")
            return file.read(65536)
    except FileNotFoundError:
        raise _broken("missing", f"file:{name}", "does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        words = f"cannot be read ({type(error).__name__})"
        raise _broken("unreadable", f"file:{name}", words) from None


def _from_keyring(name: str) -> str:
    try:
        import keyring  # noqa: PLC0415 - optional, only where it is used
    except ImportError:
        words = "needs the package 'keyring' (pip install keyring)"
        raise _broken("unreadable", f"keyring:{name}", words) from None
    value = keyring.get_password("moatbridge", name)
    if value is None:
        words = "is not in the keyring under service 'moatbridge'"
        raise _broken("missing", f"keyring:{name}", words)
    return str(value)


_RESOLVERS: Final = {"env": _from_env, "file": _from_file, "keyring": _from_keyring}
