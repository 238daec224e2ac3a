"""The repeated element of an XML sample, and what it holds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lxml import etree

from moatbridge_sftp.formats.guess_types import guess_type

if TYPE_CHECKING:
    from moatbridge_sftp.formats.fields import FieldSpec
    from moatbridge_sftp.formats.xml_document import XmlConfig


def _root(head: bytes) -> Any:
    """The sample as a tree; a cut tail is closed."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, recover=True
    )
    try:
        return etree.fromstring(head, parser)
    except etree.XMLSyntaxError:
        return None


def settings(head: bytes) -> dict[str, Any]:
    """The path of the commonest element that has something inside."""
    root = _root(head)
    if root is None:
        return {}
    counts: Counter[tuple[str, ...]] = Counter()
    _count(root, (), counts)
    repeated = [(n, -len(path), path) for path, n in counts.items() if n > 1]
    if not repeated:
        return {}
    path = max(repeated)[2]
    spaces = {uri for uri in map(_uri, path) if uri}
    prefixes = {uri: f"n{i}" for i, uri in enumerate(sorted(spaces), 1)}
    steps = [
        f"{prefixes[_uri(tag)]}:{_local(tag)}" if _uri(tag) else _local(tag)
        for tag in path
    ]
    found: dict[str, Any] = {"record": "/".join(steps)}
    if prefixes:
        found["namespaces"] = {prefix: uri for uri, prefix in prefixes.items()}
    return found


def _uri(tag: str) -> str:
    return etree.QName(tag).namespace or ""


def _local(tag: str) -> str:
    return str(etree.QName(tag).localname)


def _count(node: Any, above: tuple[str, ...], counts: Counter[tuple[str, ...]]) -> None:
    path = (*above, node.tag)
    if above and (len(node) or node.attrib):
        counts[path] += 1
    for child in node:
        if isinstance(child.tag, str):
            _count(child, path, counts)


def fields(head: bytes, config: XmlConfig) -> dict[str, FieldSpec]:
    """Attributes and simple children of the record elements."""
    root = _root(head)
    if root is None:
        return {}
    last = config.record.rpartition("/")[2].rpartition(":")[2]
    nodes = [each for each in root.iter() if _named(each, last)][:200]
    prefixes = {uri: prefix for prefix, uri in config.namespaces.items()}
    seen: dict[str, list[str]] = {}
    for node in nodes:
        for name, value in node.items():
            seen.setdefault(f"@{_prefixed(name, prefixes)}", []).append(value)
        for child in node:
            if isinstance(child.tag, str) and not len(child):
                name = _prefixed(child.tag, prefixes)
                seen.setdefault(name, []).append(child.text or "")
    return {
        name.lstrip("@").rpartition(":")[2]: _with_source(guess_type(values), name)
        for name, values in seen.items()
    }


def _with_source(spec: FieldSpec, name: str) -> FieldSpec:
    return spec.model_copy(update={"source": name})


def _named(node: Any, name: str) -> bool:
    return isinstance(node.tag, str) and _local(node.tag) == name


def _prefixed(tag: str, prefixes: dict[str, str]) -> str:
    prefix = prefixes.get(_uri(tag))
    return f"{prefix}:{_local(tag)}" if prefix else _local(tag)
