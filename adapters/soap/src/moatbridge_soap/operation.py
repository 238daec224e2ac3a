"""One operation as a stream uses it: request, decoder and rules, compiled once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError
from moatbridge_soap.decode import AnswerDecoder, DecodeSettings, compile_answer
from moatbridge_soap.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moatbridge_soap.config.auth import LoginAuth
    from moatbridge_soap.config.operations import Idempotency, OperationConfig
    from moatbridge_soap.config.rules import Rule, Test
    from moatbridge_soap.config.system import SoapConfig
    from moatbridge_soap.wsdl import Port

RELATES: str = "Header/RelatesTo"

_WRITING: Final = frozenset({"record", "ref", "refs", "version", "key"})
GIVES: Final = {
    "list": frozenset({"page", "window", "split"}),
    "changes": frozenset({"page", "window", "since", "until"}),
    "deletes": frozenset({"page", "window", "since", "until"}),
    "get": frozenset({"ref", "refs"}),
    "find": frozenset({"query"}),
    "create": _WRITING,
    "update": _WRITING,
    "upsert": _WRITING,
    "delete": _WRITING,
    "login": frozenset({"login"}),
}
"""Table -> first words of the placeholders that have a value there."""

_ALWAYS: Final = frozenset({"today", "login"})


@dataclass(frozen=True, slots=True)
class Operation:
    """A compiled operation. Immutable; shared between connections.

    Args:
        name: In the port.
        where: Place in the configuration (``hr/people.list``), for messages.
        bound: zeep's bound operation.
        request: Builds the input.
        decoder: Reads the answer.
        rules: What faults and results mean.
        ok: Success test of a 200 answer.
        one_way: There is no answer.
        idempotency: Where our key goes.
        incomplete: Fields of the stream that its items do not hold.
        whole: Its records keep fields that are not the stream's.
    """

    name: str
    where: str
    bound: Any = field(repr=False)
    request: Request = field(repr=False)
    decoder: AnswerDecoder = field(repr=False)
    rules: tuple[Rule, ...] = ()
    ok: Test | None = None
    one_way: bool = False
    idempotency: Idempotency | None = None
    incomplete: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Compiler:
    """What the operations of one port have in common.

    Args:
        config: The system's settings.
        port: The chosen port.
        login: The configured login.
    """

    config: SoapConfig
    port: Port
    login: LoginAuth | None = None

    def settings(self, **more: Any) -> DecodeSettings:
        """Decoder settings with the system's limits."""
        config = self.config
        return DecodeSettings(
            timezone=config.timezone,
            tolerance=config.tolerance,
            max_record=config.max_record,
            max_response=config.max_response,
            max_buffered=config.max_buffered,
            max_records=config.max_records,
            **more,
        )

    def compile(
        self,
        table: OperationConfig,
        where: str,
        *,
        settings: DecodeSettings | None = None,
        paths: Iterable[str | None] = (),
        unsent: frozenset[str] = frozenset(),
        idempotency: Idempotency | None = None,
        incomplete: tuple[str, ...] = (),
    ) -> Operation:
        """Bind one operation table to the WSDL.

        Args:
            table: The configured table.
            where: Its address, for messages.
            settings: How items are decoded.
            paths: Further values wanted of the answer.
            unsent: Record fields left out where the schema allows it.
            idempotency: Where our key goes.
            incomplete: Fields of the stream that the items lack.

        Raises:
            ConfigurationError: ``soap.path``, ``soap.placeholder``,
                ``soap.unsupported``.
        """
        bound = self.port.operation(table.operation, f"{where}.operation")
        request = self._placed(table.request, bound, idempotency)
        built = Request(bound, request, f"{where}.request", unsent=unsent)
        _check_placeholders(built, where)
        if idempotency is not None and built.uses("today"):
            raise ConfigurationError(
                f"{built.where}: {{today}} would change the bytes of a repeat after "
                "midnight under the same key; take the day from the record.",
                code="soap.placeholder",
            )
        rules = (*table.rules, *(self.login.expired if self.login else ()))
        try:
            decoder = compile_answer(
                bound,
                items=table.items,
                item=table.item,
                paths=_wanted(table, rules, paths),
                settings=settings or self.settings(fields=("*",)),
            )
        except ConfigurationError as error:
            message = f"{where}: {error.message}"
            raise ConfigurationError(message, code=error.code) from None
        return Operation(
            bound.name,
            where,
            bound,
            built,
            decoder,
            rules=rules,
            ok=table.ok,
            one_way=bound.output is None or bound.output.body is None,
            idempotency=idempotency,
            incomplete=incomplete,
        )

    def _placed(
        self, request: dict[str, Any], bound: Any, idempotency: Idempotency | None
    ) -> dict[str, Any]:
        if idempotency is not None and idempotency.path is not None:
            request = placed(request, idempotency.path, "{key}")
        login = self.login
        if login is None or login.into.param is None or login.operation == bound.name:
            return request
        return placed(request, login.into.param, "{login.token}")


def _check_placeholders(request: Request, where: str) -> None:
    table = where.removesuffix(".page").rpartition(".")[2]
    known = GIVES.get(table, frozenset()) | _ALWAYS
    for name in sorted(request.names):
        if name.partition(".")[0] not in known:
            raise ConfigurationError(
                f"{request.where}: {{{name}}} never has a value in {table}; there are "
                f"{', '.join(sorted(known))}.",
                code="soap.placeholder",
            )


def placed(request: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A ``request`` table with one more value, at a path of local names."""
    first, _, rest = path.partition("/")
    if not rest:
        return {**request, first: value}
    below = request.get(first)
    return {
        **request,
        first: placed(below if isinstance(below, dict) else {}, rest, value),
    }


def _wanted(
    table: OperationConfig, rules: Iterable[Rule], paths: Iterable[str | None]
) -> list[str]:
    found = [path for path in paths if path is not None]
    found += [rule.result for rule in rules if rule.result is not None]
    found += [table.ok.path] if table.ok is not None else []
    return list(dict.fromkeys([*found, RELATES]))


__all__ = ["RELATES", "Compiler", "Operation", "placed"]
