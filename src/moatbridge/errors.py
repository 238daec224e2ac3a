"""Every error that moatbridge raises on purpose, grouped by how to recover.

* MoatbridgeError
  x ConfigurationError    a person must change something; nothing was sent
    + AdapterNotFound       no installed adapter answers to that name
  x NotApplied            certainly nothing happened; the same call may be repeated
  x OutcomeUnknown        something may have happened; never repeat it blindly
  x Rejected              the peer understood and refused; repeating is pointless
  x CursorTooOld          the position is no longer served; a rescan is needed
  x LeaseLost             somebody else works on this partition now
  x GuardStopped          a guard rule stopped a plan before its first effect
  x TranslationError      one record could not be translated; it becomes a reject

Each error carries a stable ``code`` (``area.what``), explained in
``docs/reference/errors.md``. Messages name system, stream and field, and never a
value: no secret and no personal data may reach an error (see ``SECURITY.md``).
All errors can be pickled; the driver error that caused one stays in this process.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal, Self, get_args

DOCS: Final = "docs/reference/errors.md"

RejectKind = Literal["conflict", "data", "gone", "rights"]
_KINDS: Final[frozenset[str]] = frozenset(get_args(RejectKind))


class MoatbridgeError(Exception):
    """Root of every error that moatbridge raises on purpose.

    Args:
        message: What happened, in which system, stream or field, and what to do
            next. Never a value.
        code: Stable identifier such as ``ldap.auth``; ``area.what``.
        system: Name of the configured system concerned, if one is.
        stream: Address of the stream concerned (``hr/people``), if one is.
        details: More plain, non-personal facts (numbers, names of settings).
    """

    default_code: ClassVar[str] = "moatbridge.error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        system: str | None = None,
        stream: str | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code: str = code or self.default_code
        self.system = system
        self.stream = stream
        self.details = details

    def at(self, *, system: str | None = None, stream: str | None = None) -> Self:
        """Fill in where it happened, if that is not known yet; returns itself."""
        self.system = self.system or system
        self.stream = self.stream or stream
        return self

    def __str__(self) -> str:
        where = self.stream or self.system
        place = f" [{where}]" if where and where not in self.message else ""
        return f"{self.code}: {self.message}{place}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.__dict__)


def _rebuild(kind: type[MoatbridgeError], state: dict[str, Any]) -> MoatbridgeError:
    error = kind.__new__(kind)
    Exception.__init__(error, state["message"])
    error.__dict__.update(state)
    return error


class ConfigurationError(MoatbridgeError):
    """A person must change something; nothing was sent, retrying is pointless."""

    default_code = "config.invalid"


class AdapterNotFound(ConfigurationError, LookupError):
    """No installed or registered adapter answers to that name."""

    default_code = "registry.not-found"


class NotApplied(MoatbridgeError):
    """Certainly nothing happened; the same call may be repeated.

    Args:
        message: See `MoatbridgeError`.
        retry_after: Seconds to wait at least, if the peer said so.
        more: Keyword arguments of `MoatbridgeError`.
    """

    default_code = "call.not-applied"

    def __init__(
        self, message: str, *, retry_after: float | None = None, **more: Any
    ) -> None:
        super().__init__(message, **more)
        self.retry_after = retry_after


class OutcomeUnknown(MoatbridgeError):
    """Bytes had left and no answer came: something may have happened."""

    default_code = "call.unknown"


class Rejected(MoatbridgeError):
    """The peer understood and refused; repeating the same call is pointless.

    Raised by a *read* it means that the pass is refused until a person acts, and
    that nothing after it is read (DESIGN 10.10).

    Args:
        message: See `MoatbridgeError`.
        kind: ``conflict``, ``data``, ``gone`` or ``rights``. None: the last word of
            the code where that is one of them, else ``data``.
        field: Name of the field that is to blame, if one is; never its value.
        more: Keyword arguments of `MoatbridgeError`. Where the code's last word says
            another kind, ``kind`` is right: see `told`.
    """

    default_code = "call.rejected"

    def __init__(
        self,
        message: str,
        *,
        kind: RejectKind | None = None,
        field: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message, **more)
        self.field = field
        last = self.code.rpartition(".")[2]
        said: Any = kind or (last if last in _KINDS else "data")
        self.kind: RejectKind = said

    @property
    def told(self) -> str:
        """The code as a receipt tells it: its last word never belies ``kind``.

        ``erp.gone`` of kind ``conflict`` becomes ``erp.conflict``, and ``erp.no-row``
        of kind ``gone`` becomes ``erp.no-row.gone``; ``data`` may be any finer word.
        """
        rest, _, last = self.code.rpartition(".")
        if last == self.kind or (last not in _KINDS and self.kind == "data"):
            return self.code
        return f"{rest if last in _KINDS else self.code}.{self.kind}"


class CursorTooOld(MoatbridgeError):
    """The position is no longer served (or belongs elsewhere): rescan.

    Args:
        message: See `MoatbridgeError`.
        reason: Short machine word (``expired``, ``other-server``, ``truncated``).
        more: Keyword arguments of `MoatbridgeError`.
    """

    default_code = "cursor.too-old"

    def __init__(self, message: str, *, reason: str = "expired", **more: Any) -> None:
        super().__init__(message, **more)
        self.reason = reason


class LeaseLost(MoatbridgeError):
    """The fence moved: somebody else works on this partition now. Normal."""

    default_code = "lease.lost"


class GuardStopped(MoatbridgeError):
    """A guard rule stopped a plan; nothing was sent."""

    default_code = "guard.stopped"


class TranslationError(MoatbridgeError):
    """One record could not be translated; the flow turns it into a reject.

    Args:
        message: Which path, which converter, what kind of fault; never the value.
        path: The entity path concerned.
        more: Keyword arguments of `MoatbridgeError`.
    """

    default_code = "translate.value"

    def __init__(self, message: str, *, path: str = "", **more: Any) -> None:
        super().__init__(message, **more)
        self.path = path
