"""Streams bound to the WSDL: every path and placeholder is checked here, at load."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import Field
from moatbridge.errors import ConfigurationError
from moatbridge_soap.decode import field_types
from moatbridge_soap.fields import leaves_of, names_of, paths_of, trimmed
from moatbridge_soap.records import Records
from moatbridge_soap.streams import CompiledStream
from moatbridge_soap.write_checks import check_write
from moatbridge_soap.wsdl import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from moatbridge_soap.config.operations import (
        OperationConfig,
        PageConfig,
        WriteConfig,
    )
    from moatbridge_soap.config.system import SoapStreamConfig
    from moatbridge_soap.operation import Compiler, Operation
    from moatbridge_soap.request import Request

_SPLIT: Final = "{split}"
_READS: Final = ("list", "get", "changes", "find")


def compile_stream(
    compiler: Compiler, name: str, config: SoapStreamConfig
) -> CompiledStream:
    """Bind a stream's tables to the WSDL.

    Raises:
        ConfigurationError: ``soap.path`` and the like: a used path does not resolve.
    """
    return _StreamCompiler(compiler, name, config).compile()


class _StreamCompiler:
    def __init__(self, compiler: Compiler, name: str, config: SoapStreamConfig) -> None:
        self._compiler = compiler
        self._name = name
        self._config = config
        self._types = {
            table: self._item_type(table)
            for table in _READS
            if getattr(config, table) is not None
        }
        self._paths = {t: set(paths_of(fields)) for t, fields in self._types.items()}
        self._wanted = self._wanted_paths()

    def compile(self) -> CompiledStream:
        operations = dict(self._operations())
        fields = self._fields(operations)
        before = self._before(operations)
        for table in self._config.writes:
            check_write(
                table, self._config, operations[table], before=before is not None
            )
        return CompiledStream(
            self._name,
            self._config,
            fields,
            Records(self._config, fields),
            operations,
            dict(self._continuations()),
            before,
            tuple(self._warnings(operations)),
        )

    def _operations(self) -> Iterator[tuple[str, Operation]]:
        config = self._config
        for table in _READS:
            settings = getattr(config, table)
            if settings is not None:
                yield table, self._read(table, _split_in(settings))
        if config.deletes is not None:
            yield "deletes", self._deletes()
        for table, written in config.writes.items():
            yield table, self._written(table, written)

    def _read(self, table: str, settings: OperationConfig) -> Operation:
        available = self._paths[table]
        for path in self._config.key:
            if path not in available:
                raise self._unknown(table, path, available)
        present = {path for path in self._wanted if path in available}
        tops = {path.partition(".")[0] for path in present}
        lacking = {path.partition(".")[0] for path in self._wanted} - tops
        thin = table == "changes" and getattr(settings, "thin", False)
        paths = list(self._config.key) if thin else sorted(present)
        return self._compiler.compile(
            settings,
            f"{self._name}.{table}",
            settings=self._settings(self._with_tests(table, paths)),
            paths=_page_paths(settings),
            incomplete=tuple(sorted(lacking)),
        )

    def _with_tests(self, table: str, paths: list[str]) -> list[str]:
        if table != "changes":
            return paths
        deleted = self._config.changes.deleted if self._config.changes else None
        return paths if deleted is None else sorted({*paths, deleted.path})

    def _deletes(self) -> Operation:
        settings = self._config.deletes
        assert settings is not None  # noqa: S101 - the caller looked
        return self._compiler.compile(
            settings,
            f"{self._name}.deletes",
            settings=self._settings(list(self._config.key)),
            paths=_page_paths(settings),
        )

    def _written(self, table: str, settings: WriteConfig) -> Operation:
        where = f"{self._name}.{table}"
        read_only = {self._config.version, self._config.modified}
        unsent = frozenset(name for name in read_only if name is not None)
        batch = settings.batch
        shaped, decode = settings, None
        if batch is not None and batch.result is not None:
            shaped = settings.model_copy(update={"items": batch.result, "item": None})
            names = [batch.key] if batch.key else []
            names += [batch.ok.path] if batch.ok else []
            decode = self._compiler.settings(fields=tuple(names) or ("*",))
        elif settings.item is not None:
            decode = self._stored(settings)
        return self._compiler.compile(
            shaped,
            where,
            settings=decode,
            paths=[*settings.results, settings.result_version],
            unsent=unsent,
            idempotency=settings.idempotency,
        )

    def _stored(self, settings: WriteConfig) -> Any:
        bound = self._compiler.port.operation(settings.operation, self._name)
        available = set(paths_of(field_types(bound, settings.item or "")))
        return self._settings([p for p in self._wanted if p in available])

    def _before(self, operations: Mapping[str, Operation]) -> Operation | None:
        """``get`` once more, for all that a full update must send back."""
        config = self._config
        sent: set[str] = set()
        for table in ("update", "upsert"):
            if table in operations:
                request = operations[table].request
                sent |= set(request.writable or ())
                full = config.writes[table].mode == "full"
                sent |= _named(request) if full else set()
        if config.get is None or not sent:
            return None
        names = {name for name in sent if name in names_of(self._types["get"])}
        paths = {p for p in self._paths["get"] if p.partition(".")[0] in names}
        wanted = {p for p in self._wanted if p in self._paths["get"]}
        found = self._compiler.compile(
            config.get,
            f"{self._name}.get",
            settings=self._settings(leaves_of(paths | wanted)),
        )
        return replace(found, whole=True)

    def _continuations(self) -> Iterator[tuple[str, Operation]]:
        for table in ("list", "changes", "deletes"):
            settings = getattr(self._config, table)
            page: PageConfig | None = getattr(settings, "page", None)
            if settings is None or page is None or page.next_operation is None:
                continue
            follow = settings.model_copy(
                update={
                    "operation": page.next_operation,
                    "request": page.next_request,
                    "items": page.next_items
                    or self._renamed(settings.items, page.next_operation),
                }
            )
            token = self._renamed(page.token, page.next_operation)
            moved = page.model_copy(
                update={
                    "token": token,
                    "done": page.done
                    and page.done.model_copy(
                        update={
                            "path": self._renamed(page.done.path, page.next_operation)
                        }
                    ),
                }
            )
            follow = follow.model_copy(update={"page": moved})
            yield (
                table,
                self._compiler.compile(
                    follow,
                    f"{self._name}.{table}.page",
                    settings=self._settings(sorted(self._wanted)),
                    paths=_page_paths(follow),
                ),
            )

    def _renamed(self, path: str | None, operation: str) -> str | None:
        """A path with the wrapper element of another operation."""
        if path is None:
            return None
        return rewrapped(path, self._compiler.port.operation(operation, self._name))

    def _item_type(self, table: str) -> tuple[Field, ...]:
        settings = getattr(self._config, table)
        where = f"{self._name}.{table}"
        bound = self._compiler.port.operation(settings.operation, f"{where}.operation")
        path = settings.items or settings.item
        if path is None:
            message = (
                f"{where}: set items or item: where the records are in the answer."
            )
            raise ConfigurationError(message, code="soap.path")
        try:
            return field_types(bound, path)
        except ConfigurationError as error:
            message = f"{where}: {error.message}"
            raise ConfigurationError(message, code=error.code) from None

    def _wanted_paths(self) -> list[str]:
        config = self._config
        everything = {path for paths in self._paths.values() for path in paths}
        fields = config.fields
        if fields is None or "*" in fields:
            found = set(leaves_of(everything))
        else:
            found = set(fields)
        named = (*config.key, config.name, config.version, config.modified)
        found |= {path for path in (*named, *config.only) if path is not None}
        for page in (
            config.list and config.list.page,
            config.changes and config.changes.page,
        ):
            if page and page.by:
                found.add(page.by)
        for path in sorted(found - everything if everything else ()):
            raise self._unknown("fields", path, everything)
        return sorted(found)

    def _fields(self, operations: Mapping[str, Operation]) -> tuple[Field, ...]:
        merged: dict[str, Field] = {}
        for fields in self._types.values():
            for each in fields:
                merged.setdefault(each.name, each)
        chosen = [
            f
            for each in merged.values()
            if (f := trimmed(each, self._wanted)) is not None
        ]
        if not merged:
            chosen = list(self._input_fields(operations))
        sent, required = self._sent(operations)
        return tuple(
            replace(
                each,
                writable=each.name in sent,
                required=each.name in required if sent else each.required,
                unique=self._config.key == (each.name,),
            )
            for each in chosen
        )

    def _sent(self, operations: Mapping[str, Operation]) -> tuple[set[str], set[str]]:
        sent: set[str] = set()
        required: set[str] = set()
        hidden = {self._config.version, self._config.modified}
        for table in self._config.writes:
            request = operations[table].request
            slots = request.writable or {}
            sent |= {name for name in slots if name not in hidden}
            sent |= _named(request)
            if table in {"create", "upsert"}:
                required |= {
                    n for n, s in slots.items() if not s.optional and not s.nillable
                }
        return sent, required

    def _input_fields(self, operations: Mapping[str, Operation]) -> Iterator[Field]:
        """A stream that is only written: its fields are what the input takes."""
        seen: set[str] = set(self._config.key)
        for name in self._config.key:
            yield Field(name)
        for table in self._config.writes:
            request = operations[table].request
            names = {
                n.removeprefix("record.")
                for n in request.names
                if n.startswith("record.")
            }
            for name in sorted({*names, *(request.writable or {})} - seen):
                seen.add(name)
                yield Field(name, "any")

    def _settings(self, paths: list[str]) -> Any:
        config = self._config
        chosen = set(paths)

        def known(table: Mapping[str, Any]) -> dict[str, Any]:
            return {path: value for path, value in table.items() if path in chosen}

        return self._compiler.settings(
            fields=tuple(paths),
            key=config.key,
            modified=config.modified if config.modified in chosen else None,
            nulls=known(config.nulls),
            true=known(config.true),
            false=known(config.false),
        )

    def _warnings(self, operations: Mapping[str, Operation]) -> Iterator[str]:
        config = self._config
        for table in config.writes:
            if operations[table].one_way:
                words = "accepted, not confirmed (the operation gives no answer)"
                yield f"{self._name}.{table}: {words}"
        if config.get is not None and config.get.batch is None:
            yield f"{self._name}: fetch is one call per record"
        for table in ("update", "upsert"):
            settings = config.writes.get(table)
            if settings is None or settings.mode == "partial":
                continue
            if "{version}" not in json.dumps(settings.request):
                yield f"{self._name}.{table}: lost-update-possible (no {{version}})"
        page = config.list.page if config.list else None
        if page and page.kind in {"page", "offset"} and page.total is None:
            yield f"{self._name}.list: rows may move between pages (no page.total)"

    def _unknown(
        self, table: str, path: str, available: Iterable[str]
    ) -> ConfigurationError:
        words = f"{self._name}.{table}: the answer's records have no field {path!r}"
        return ConfigurationError(
            f"{words}{nearest(path, available)}.", code="soap.path"
        )


def _named(request: Request) -> set[str]:
    """Fields of a record that a request names one by one."""
    found = (n for n in request.names if n.startswith("record."))
    return {n.removeprefix("record.").partition(".")[0] for n in found}


def rewrapped(path: str, bound: Any) -> str:
    """The same path below the output wrapper of another operation."""
    body = bound.output.body if bound.output is not None else None
    _, slash, rest = path.partition("/")
    return path if body is None else f"{body.name}{slash}{rest}"


def _split_in(settings: Any) -> Any:
    split = getattr(settings, "split", None)
    if split is None or split.param is None:
        return settings
    request = {**settings.request, split.param: _SPLIT}
    return settings.model_copy(update={"request": request})


def _page_paths(settings: Any) -> list[str | None]:
    page: PageConfig = getattr(settings, "page", None)  # type: ignore[assignment]
    found: list[str | None] = []
    if page is not None:
        found += [page.total, page.next, page.token]
        found += [page.done.path] if page.done else []
    since = getattr(settings, "since", None)
    if since is not None:
        found.append(since.as_of)
    return found
