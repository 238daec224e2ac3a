"""Secrets are references in a configuration, never values (security 1-3)."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr
from pydantic_core import PydanticCustomError, core_schema

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

SCHEMES: Final = ("env", "file", "keyring")
SHORTEST: Final = 6
"""Shorter values are refused: they could not be redacted from a log."""

# A FIFO or a terminal must not block `open`, or become ours; Windows has neither.
_READ: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


class Secret:
    """A reference to a secret: ``env:NAME``, ``file:PATH`` or ``keyring:NAME``.

    The value is read each time `get_secret_value` is called, so rotation needs no
    restart; use it in the argument list of the call that needs it and keep no copy.
    In Python, a `pydantic.SecretStr` may stand in its place.

    Args:
        reference: Where the value is.
        held: The value itself, held in memory.
        folders: Folders that the file of a ``file:`` reference must lie in whenever it
            is read; None: anywhere.
    """

    __slots__ = ("_folders", "_held", "reference")

    def __init__(
        self,
        reference: str,
        held: SecretStr | None = None,
        folders: tuple[str, ...] | None = None,
    ) -> None:
        self.reference: str = reference
        self._held = held
        self._folders = folders

    def get_secret_value(self) -> str:
        """Resolve the reference now.

        Raises:
            ConfigurationError: ``secret.missing``, ``secret.unreadable``,
                ``secret.outside``, ``secret.empty`` or ``secret.short``; never tells
                the value.
        """
        if self._held is not None:
            return _checked(self._held.get_secret_value(), self.reference)
        scheme, _, name = self.reference.partition(":")
        if scheme == "file":
            return _checked(_from_file(name, self._folders), self.reference)
        return _checked(_RESOLVERS[scheme](name), self.reference)

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (
            (self.reference, self._held, self._folders)
            == (other.reference, other._held, other._folders)
        )

    def __hash__(self) -> int:
        return hash(self.reference)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._held is not None:
            msg = "a secret held in memory is never pickled"
            raise TypeError(msg)
        return Secret, (self.reference, None, self._folders)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Accept a reference, a `SecretStr` or a `Secret`; a literal is an error."""
        del source, handler
        return core_schema.with_info_plain_validator_function(
            cls._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda secret: secret.reference
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the reference, for editors and forms."""
        del schema, handler
        return {
            "type": "string",
            "pattern": "^(env|file|keyring):.+",
            "writeOnly": True,
            "description": "A secret reference: env:NAME, file:PATH or keyring:NAME.",
        }

    @classmethod
    def _validate(cls, value: Any, info: core_schema.ValidationInfo) -> Secret:
        if isinstance(value, Secret):
            return value
        if isinstance(value, SecretStr):
            return cls("(held in memory)", value)
        if isinstance(value, str):
            scheme, colon, name = value.partition(":")
            if colon and name and scheme in SCHEMES:
                return _placed(value, info.context)
        kind = "secret_reference"
        raise PydanticCustomError(
            kind,
            "must be a secret reference (env:NAME, file:PATH or keyring:NAME), "
            "not the secret itself",
        )


def _placed(reference: str, context: Any) -> Secret:
    """Resolve a ``file:`` path against the configuration's folder and its limits.

    The validation context may hold ``folder`` (a path) and ``secret_dirs`` (paths);
    links are followed, so a link inside a permitted folder cannot lead out of it, now
    or when the file is read.
    """
    scheme, _, name = reference.partition(":")
    folders = context.get("secret_dirs") if isinstance(context, dict) else None
    if scheme != "file" or folders is None:
        return Secret(reference)
    path = Path(context.get("folder") or ".", name)
    if _inside(os.path.realpath(path), folders):
        return Secret(f"file:{path}", folders=tuple(map(str, folders)))
    kind = "secret_outside"
    raise PydanticCustomError(
        kind,
        "the secret's file lies outside the folders for secrets; list its folder in "
        "`security.secret_dirs`",
    )


def _inside(real: str, folders: Iterable[str | Path]) -> bool:
    path = Path(real)
    return any(path.is_relative_to(os.path.realpath(folder)) for folder in folders)


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
        raise _broken(
            "missing", f"env:{name}", "is not set in the environment: export it first"
        )
    return value


def _from_file(name: str, folders: tuple[str, ...] | None) -> str:
    try:
        opened = os.open(name, _READ)
        try:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise _broken("unreadable", f"file:{name}", "is not a plain file")
            if folders is not None and not _inside(_where(opened, name), folders):
                words = "lies outside `security.secret_dirs` since it was configured"
                raise _broken("outside", f"file:{name}", words)
            with os.fdopen(opened, encoding="utf-8", closefd=False) as file:
                return file.read(65536)
        finally:
            os.close(opened)
    except FileNotFoundError:
        raise _broken("missing", f"file:{name}", "does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        words = f"cannot be read ({type(error).__name__})"
        raise _broken("unreadable", f"file:{name}", words) from None


def _where(opened: int, name: str) -> str:
    """Real path of the file that is open, wherever the name leads by now.

    Linux tells it; elsewhere the name is followed again, and must lead to that file.

    Raises:
        OSError: It leads to another one.
    """
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/self/fd/{opened}").readlink())
    real = os.path.realpath(name)
    if not os.path.samestat(os.lstat(real), os.fstat(opened)):
        raise OSError
    return real


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


_RESOLVERS: Final = {"env": _from_env, "keyring": _from_keyring}
