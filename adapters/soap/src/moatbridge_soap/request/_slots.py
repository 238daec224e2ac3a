"""What zeep's input types take, as a flat table: one slot per child or attribute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zeep.xsd.elements import Element
from zeep.xsd.elements.indicators import Choice, Group, OrderIndicator
from zeep.xsd.types import ComplexType

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TEXT = "#text"


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of an input type.

    Args:
        name: As records and tables write it: ``name``, ``@name``, ``#text``.
        argument: As zeep wants it.
        type: zeep's type; None for ``xsd:any``.
        optional: May be left out.
        nillable: May be ``xsi:nil``.
        many: Repeatable: the value is a list.
        branches: Choices it stands in: (choice, branch) numbers.
    """

    name: str
    argument: str
    type: Any
    optional: bool
    nillable: bool = False
    many: bool = False
    branches: tuple[tuple[int, int], ...] = ()

    @property
    def compound(self) -> bool:
        """True if its value is a table of slots."""
        return isinstance(self.type, ComplexType)


def slots_of(xsd_type: Any, where: str) -> Mapping[str, Slot]:
    """The slots of a complex type, by name.

    Raises:
        ConfigurationError: ``soap.unsupported``: a repeated group, or an array of the
            SOAP encoding, as input.
    """
    if not isinstance(xsd_type, ComplexType):
        return {}
    if xsd_type._array_type is not None:  # noqa: SLF001 - zeep has no public name
        words = "an array of the SOAP encoding cannot be sent yet"
        raise ConfigurationError(f"{where}: {words}.", code="soap.unsupported")
    found: dict[str, Slot] = {}
    content = xsd_type._element  # noqa: SLF001 - the indicators are private in zeep
    if isinstance(content, Element):
        argument = xsd_type.elements_nested[0][0]
        found[TEXT] = Slot(TEXT, argument, content.type, optional=True)
    elif content is not None:
        counter = _Counter()
        for slot in _walk(content, where, counter, optional=False, branches=()):
            found[slot.name] = slot
    for argument, attribute in xsd_type.attributes:
        if attribute.name is not None:
            name = f"@{attribute.name}"
            optional = not attribute.required
            found[name] = Slot(name, argument, attribute.type, optional)
    return found


class _Counter:
    def __init__(self) -> None:
        self.count = 0

    def next(self) -> int:
        self.count += 1
        return self.count


def _walk(
    part: Any,
    where: str,
    counter: _Counter,
    *,
    optional: bool,
    branches: tuple[tuple[int, int], ...],
) -> Iterator[Slot]:
    if isinstance(part, Element):
        yield Slot(
            str(part.name),
            str(part.attr_name),
            part.type,
            optional or bool(part.is_optional) or part.default is not None,
            bool(part.nillable),
            bool(part.accepts_multiple),
            branches,
        )
        return
    if not isinstance(part, OrderIndicator | Group):
        return  # xsd:any: nothing that could be named
    if part.accepts_multiple:
        raise ConfigurationError(
            f"{where}: a repeated group of elements cannot be sent yet.",
            code="soap.unsupported",
        )
    relaxed = optional or bool(part.is_optional)
    if isinstance(part, Choice):
        number = counter.next()
        for branch, child in enumerate(part):
            inside = (*branches, (number, branch))
            yield from _walk(child, where, counter, optional=True, branches=inside)
        return
    children = [part.child] if isinstance(part, Group) else list(part)
    for child in children:
        yield from _walk(child, where, counter, optional=relaxed, branches=branches)
