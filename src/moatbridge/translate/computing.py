"""Templates and functions: sources that compute, from record to entity only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.translate import templates
from moatbridge.translate.leaves import Leaf
from moatbridge.translate.picking import choose, picking
from moatbridge.translate.sources import Computed, Template
from moatbridge.translate.steps import Place, Spot, record_place
from moatbridge.translate.typed import checker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.translate.build import Site


def one_way_leaf(spot: Spot, source: Template | Computed, site: Site) -> Leaf:
    """The leaf of a template or function: record to entity only.

    Raises:
        ConfigurationError: ``path.*``, ``template.syntax`` or ``translate.kind``.
    """
    check = checker(spot.shape, site.limit)
    if isinstance(source, Template):
        compute, texts = template_function(source)
        places = [record_place(each, site.root) for each in texts]
        compute = _read_through(compute, _readers(source, places, site))
    else:
        texts = list(source.reads if source.reads is not None else site.named)
        places = [record_place(each, site.root) for each in texts]
        compute = computed_function(source, texts)

    def decode(*values: Any) -> Any:
        found = compute(*values)
        if found is None:
            return [] if spot.shape.kind == "list" else None
        return check(found)

    return Leaf(spot, source, tuple(places), decode)


def _readers(
    source: Template, places: Sequence[Place], site: Site
) -> list[Callable[[Any], Any] | None]:
    """For each hole what makes one text of its value; None where it is one already."""
    from moatbridge.translate.blocks import block_reader  # noqa: PLC0415 - cycle

    holes = [p for p in templates.parse(source.text) if isinstance(p, templates.Hole)]
    readers: list[Callable[[Any], Any] | None] = []
    for hole, place in zip(holes, places, strict=True):
        if hole.path in source.blocks:
            readers.append(block_reader(source.blocks[hole.path], site.root))
        elif place.multi:
            readers.append(picking(_same, choose(None, place)))
        else:
            readers.append(None)
    return readers


def _same(value: Any) -> Any:
    return value


def _read_through(
    compute: Callable[..., Any], readers: Sequence[Callable[[Any], Any] | None]
) -> Callable[..., Any]:
    if not any(readers):
        return compute
    return lambda *values: compute(
        *(
            read(value) if read else value
            for read, value in zip(readers, values, strict=True)
        )
    )


def template_function(source: Template) -> tuple[Callable[..., Any], list[str]]:
    """The function of a template's values, and the paths it reads in that order.

    Raises:
        ConfigurationError: ``template.syntax``.
    """
    parts = templates.parse(source.text)
    converters = dict(source.converters)
    reads = templates.reads_of(source)
    return lambda *values: templates.fill(parts, converters, values), reads


class Undeclared(LookupError):
    """A function asked for a path that is not in its ``reads``."""


class _Reads(dict[str, Any]):
    def __missing__(self, name: object) -> Any:
        raise Undeclared(str(name))


def computed_function(source: Computed, reads: Sequence[str]) -> Callable[..., Any]:
    """A function of the values of ``reads``; gives the user's function a dict."""
    function, names = source.function, tuple(reads)
    return lambda *values: function(_Reads(zip(names, values, strict=True)))
