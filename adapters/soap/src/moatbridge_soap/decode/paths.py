"""Message paths: checked against the WSDL at load, then looked up in a skeleton."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple

from moatbridge.errors import ConfigurationError
from moatbridge_soap.decode.shape import Member, Shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lxml.etree import _Element


class Target(NamedTuple):
    """What a message path means in the schema.

    Args:
        steps: Local names below Body (or Header), without the attribute.
        attribute: Tag of the attribute that ends the path, if one does.
        member: What the last step is; None where the schema does not say (headers,
            ``xsd:any``).
        many: Some step of it may occur more than once.
        optional: The schema allows its absence.
        header: The steps begin below Header.
        instead: For each step, local names that may stand in its place.
    """

    steps: tuple[str, ...]
    attribute: str | None
    member: Member | None
    many: bool
    optional: bool
    header: bool
    instead: tuple[frozenset[str], ...] = ()

    def names(self, step: int) -> frozenset[str]:
        """Local names that mean a step."""
        others = self.instead[step] if self.instead else frozenset()
        return others | {self.steps[step]}

    @property
    def every(self) -> tuple[frozenset[str], ...]:
        """`names` of each step."""
        return tuple(self.names(step) for step in range(len(self.steps)))


class Message:
    """The schema of one operation's answer.

    Args:
        operation: zeep's bound operation.
    """

    def __init__(self, operation: Any) -> None:
        self.name: str = operation.name
        self.rpc: bool = operation.style == "rpc"
        self.shapes = Shapes(operation.binding.wsdl.types)
        output = operation.output
        self.roots: tuple[Member, ...] = ()
        self.alone = True  # Body holds one element, not several parts side by side
        if output is not None and output.body is not None:
            root = self.shapes.root(output.body)
            wrapped = output._is_body_wrapped  # noqa: SLF001 - zeep has no public way
            self.roots = root.shape.members if wrapped else (root,)
            self.alone = not wrapped

    def target(self, path: str) -> Target:
        """Resolve a message path.

        Raises:
            ConfigurationError: ``soap.path``: the answer has no such element; the
                nearest name is suggested.
        """
        first, *rest = path.split("/")
        if first == "Header":
            return _header(rest)
        if self.rpc and self.roots:
            root: Member | None = self.roots[0]
        else:
            root = next((m for m in self.roots if m.name == first), None)
        if root is None:
            raise self._unknown(path, first, [m.name for m in self.roots])
        return self._walk(path, root, first, rest)

    def _walk(self, path: str, root: Member, first: str, rest: list[str]) -> Target:
        steps, node, many, optional = [first], root, root.many, not root.required
        instead = [frozenset[str]()]
        for position, step in enumerate(rest):
            below = node.shape.member(step)
            if below is None and node.shape.wildcard:
                return _untyped((*steps, *rest[position:]), many=many)
            if below is None:
                names = [member.name for member in node.shape.members]
                raise self._unknown(path, step, names)
            if step.startswith("@"):
                return Target(
                    tuple(steps),
                    below.tag,
                    below,
                    many,
                    optional,
                    header=False,
                    instead=tuple(instead),
                )
            node = below
            steps.append(step)
            instead.append(frozenset(each.name for each in below.instead))
            many, optional = many or node.many, optional or not node.required
        return Target(
            tuple(steps),
            None,
            node,
            many,
            optional,
            header=False,
            instead=tuple(instead),
        )

    def _unknown(
        self, path: str, step: str, names: Sequence[str]
    ) -> ConfigurationError:
        near = difflib.get_close_matches(step, names, 1, 0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        known = ", ".join(list(names)[:12]) or "nothing"
        return ConfigurationError(
            f"The answer of operation {self.name} has no element {step!r} at path "
            f"{path!r}.{hint} At that place the WSDL knows: {known}.",
            code="soap.path",
            operation=self.name,
            path=path,
        )


def unknown_field(message: Message, path: str, names: Sequence[str]) -> Exception:
    """The error for a configured field that an item does not have."""
    near = difflib.get_close_matches(path, names, 1, 0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ConfigurationError(
        f"Items of operation {message.name} have no field {path!r}.{hint} "
        f"The WSDL knows: {', '.join(list(names)[:20])}.",
        code="soap.path",
        operation=message.name,
        path=path,
    )


def found(
    start: _Element,
    target: Target,
    *,
    message: Message,
    follow: Callable[[_Element], _Element] | None,
) -> Iterator[_Element]:
    """Elements at a path, in document order; the last step's own reference stands."""
    nodes: list[_Element] = [start]
    for depth, step in enumerate(target.steps):
        if depth == 0 and not target.header:
            nodes = list(_first(start, step, message))
            continue
        if follow is not None and depth:
            nodes = [follow(node) for node in nodes]
        names = target.names(depth)
        nodes = [child for node in nodes for child in node if _local(child) in names]
    yield from nodes


def _first(body: _Element, step: str, message: Message) -> Iterator[_Element]:
    """The answer's own element, or elements where it has several parts."""
    for child in body[:1] if message.alone else body:
        if message.rpc or _local(child) == step:
            yield child


def _local(element: _Element) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _untyped(steps: tuple[str, ...], *, many: bool) -> Target:
    return Target(steps, None, None, many, optional=True, header=False)


def _header(rest: list[str]) -> Target:
    attribute = rest.pop()[1:] if rest and rest[-1].startswith("@") else None
    return Target(tuple(rest), attribute, None, many=False, optional=True, header=True)
