"""Looking at a server: what `probe` and `discover` ask for."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import Probe, Suggestion, Suggestions
from moatbridge_ldap import suggest
from moatbridge_ldap.directory import (
    ASSERTION,
    PAGING,
    POST_READ,
    SYNC,
    WHO_AM_I,
    read_entry,
)
from moatbridge_ldap.wire import filters
from moatbridge_ldap.wire.errors import (
    ADMIN_LIMIT,
    NO_SUCH_OBJECT,
    RIGHTS,
    SIZE_LIMIT,
    SUCCESS,
    search_error,
)
from moatbridge_ldap.wire.port import Budget, Done, Entry, SearchRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moatbridge_ldap.config import LdapConfig
    from moatbridge_ldap.directory import Directory
    from moatbridge_ldap.scan import Pages
    from moatbridge_ldap.shape import Shape
    from moatbridge_ldap.wire.port import Port

_PRIVILEGED: Final = ("cn=admin,", "cn=manager,", "cn=root,", "cn=directory manager")


def who_am_i(port: Port, directory: Directory) -> str | None:
    """The account as the server sees it (RFC 4532); None where it cannot tell."""
    if not directory.extends(WHO_AM_I):
        return None
    done = port.extended(WHO_AM_I)
    if done.code != SUCCESS or done.value is None:
        return None
    return done.value.decode("utf-8", "replace").removeprefix("dn:")


def identity(port: Port, directory: Directory, shapes: Iterable[Shape]) -> str:
    """Stable identity of the data: the ids of the naming contexts' entries."""
    parts = []
    for shape in shapes:
        for context in {directory.context_of(place.dn) for place in shape.places}:
            entry = read_entry(port, context, (shape.id_name,))
            ref = None if entry is None else shape.ref(entry)
            parts.append(str(ref.id) if ref else f"dn:{context.lower()}")
    if not parts:
        text = "\n".join(sorted(directory.contexts)) or port.server
        return "contexts:" + hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return ",".join(sorted(set(parts)))


def probe(
    port: Port,
    *,
    directory: Directory,
    config: LdapConfig,
    shapes: dict[str, Shape],
    abilities: dict[str, frozenset[str]],
    pages: Pages,
) -> Probe:
    """Identity, limits and warnings of the connected server."""
    account = who_am_i(port, directory)
    limits: dict[str, Any] = {
        "page_size": pages.size,
        "paging": directory.supports(PAGING),
        "syncrepl": directory.supports(SYNC),
        "assertion": directory.supports(ASSERTION),
        "post_read": directory.supports(POST_READ),
        "references_ignored": pages.ignored,
    }
    if directory.facts.get("currentTime"):
        limits["clock"] = directory.facts["currentTime"][0]
    return Probe(
        server=identity(port, directory, shapes.values()),
        product=directory.product,
        account=account,
        abilities=abilities,
        limits=limits,
        warnings=tuple(_warnings(port, directory, config, account, shapes)),
    )


def _warnings(
    port: Port,
    directory: Directory,
    config: LdapConfig,
    account: str | None,
    shapes: dict[str, Shape],
) -> list[str]:
    found = []
    if not port.secure:
        found.append("The session is not encrypted: everything is readable en route.")
    if account and account.lower().startswith(_PRIVILEGED):
        found.append("The account looks like the directory's administrator; use a "
                     "service account with only the rights it needs.")  # fmt: skip
    if config.auth.kind == "anonymous":
        found.append("Bound anonymously: hidden entries look like deleted ones.")
    found.append("Whether this account may write is not known before the first write.")
    if not directory.schema.readable:
        found.append("The schema is not readable: fields without a type are lists.")
    for name, shape in shapes.items():
        found += _overlaps(name, shape)
    return found


def _overlaps(name: str, shape: Shape) -> list[str]:
    from moatbridge_ldap import dn as names  # noqa: PLC0415 - used here alone

    for index, place in enumerate(shape.places):
        for other in shape.places[:index]:
            if names.is_under(place.normal, other.normal) or names.is_under(
                other.normal, place.normal
            ):
                return [f"Stream {name}: two of its bases overlap."]
    return []


def discover(port: Port, directory: Directory, configured: str) -> Suggestions:
    """Propose streams and settings; reads the schema and at most 50 entries a kind."""
    samples = [
        sample(port, context, kind)
        for context in directory.contexts
        for kind in suggest.KINDS
    ]
    mode = (
        "syncrepl" if directory.openldap and directory.supports(SYNC) else ("timestamp")
    )
    items = [
        *suggest.streams(samples, directory.schema),
        Suggestion("follow", mode, 0.9, f"what {directory.product} offers"),
        Suggestion(
            "id_attribute", directory.id_attribute(configured), 0.9, "never changes"
        ),
    ]
    warnings = []
    if who_am_i(port, directory) == "":
        warnings.append("This directory can be read anonymously.")
    if mode == "timestamp":
        warnings.append("Deletes are not visible in changes; only scans find them.")
    if not port.secure:
        warnings.append("The session is not encrypted.")
    return Suggestions(items, tuple(warnings))


def sample(port: Port, context: str, kind: suggest.Kind) -> suggest.Sample:
    """Up to 50 entries of a kind below a naming context.

    Raises:
        NotApplied, ConfigurationError: The search failed.
    """
    classes = tuple(filters.Eq("objectClass", c.encode()) for c in kind.classes)
    wanted = ("objectClass", *(n for names in kind.fields.values() for n in names))
    request = SearchRequest(
        context, filters.Or(classes), wanted, size_limit=suggest.SAMPLE + 1
    )
    dns: list[str] = []
    having: Counter[str] = Counter()
    filled: Counter[str] = Counter()
    for message in port.search(request, Budget(request.size_limit)):
        if isinstance(message, Entry):
            dns.append(message.dn)
            found = message.attributes
            having.update(v.decode() for v in found.get("objectClass", ()))
            filled.update(name.lower() for name in found)
        elif isinstance(message, Done):
            _check_sample(message, port, context)
    more = len(dns) > suggest.SAMPLE
    return suggest.Sample(kind, tuple(dns), having, filled, more)


def _check_sample(done: Done, port: Port, context: str) -> None:
    fine = {SUCCESS, SIZE_LIMIT, ADMIN_LIMIT, NO_SUCH_OBJECT, RIGHTS}
    if done.code not in fine:
        raise search_error(done, port.server, context)
