"""How the suite picks its tests, and how it keeps anybody from switching one off."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pytest

from moatbridge.testing.stage import Stage, staged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.adapter import Ability, Adapter
    from moatbridge.testing.harness import Feature, Harness

T = TypeVar("T", bound=Callable[..., None])

NEEDS = "moatbridge_needs"


def requires(*needs: type[Ability] | Feature) -> Callable[[T], T]:
    """Collect the test only where the stream has these abilities and features."""
    names = frozenset(n if isinstance(n, str) else n.__name__ for n in needs)

    def mark(test: T) -> T:
        test.__dict__[NEEDS] = names
        return test

    return mark


class ConformanceBase:
    """Fixtures and rules of the suite; see `AdapterConformance`.

    A test whose needs are not met is not collected at all, so nothing is ever
    "skipped". A test that cannot pass yet is overridden with
    ``@pytest.mark.xfail(strict=True, reason="...")``; any other override fails.

    Class attributes:
        adapter: The adapter class under test.
        features: What the stream can do beyond its abilities; checked against what
            the adapter says of itself.
        lacks: Abilities of the adapter that this stream does not have; checked too.
    """

    adapter: ClassVar[type[Adapter[Any]]]
    features: ClassVar[frozenset[Feature]] = frozenset()
    lacks: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **more: Any) -> None:
        """Leave out the tests whose needs this adapter's stream does not meet."""
        super().__init_subclass__(**more)
        if getattr(cls, "adapter", None) is None:
            return
        if "test_no_silent_overrides" in vars(cls):
            msg = f"{cls.__name__}: test_no_silent_overrides cannot be overridden"
            raise TypeError(msg)
        has = has_of(cls)
        for name, test in suite_tests(cls).items():
            if name not in vars(cls):
                setattr(cls, name, test if needs_of(test) <= has else None)

    @pytest.fixture
    def harness(self) -> Harness:
        """Overridden by the author."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture 'harness'")

    @pytest.fixture
    def stage(self, harness: Harness) -> Iterator[Stage]:
        """The stream, emptied before and after."""
        with staged(harness) as stage:
            yield stage

    def test_no_silent_overrides(self) -> None:
        """A test is replaced only with ``xfail(strict=True, reason=...)``."""
        assert not _marks(type(self), "skip", "skipif"), "the class is skipped"
        for name, test in suite_tests(type(self)).items():
            mine = getattr(type(self), name)
            if mine is test or (mine is None and name not in _typed(type(self))):
                continue
            excuses = [mark.kwargs for mark in _marks(mine, "xfail")]
            assert any(e.get("strict") and e.get("reason") for e in excuses), (
                f"{name} is overridden without xfail(strict=True, reason=...)"
            )


def suite_tests(cls: type) -> dict[str, Any]:
    """The suite's own tests, by name."""
    return {
        name: test
        for base in cls.__mro__
        if base.__module__.startswith(__package__)
        for name, test in vars(base).items()
        if name.startswith("test_") and callable(test)
    }


def has_of(cls: type[ConformanceBase]) -> frozenset[str]:
    """Abilities and features of the stream that a test class is about."""
    return (cls.adapter.abilities - cls.lacks) | cls.features


def needs_of(test: Any) -> frozenset[str]:
    """Abilities and features that a test needs."""
    needs: frozenset[str] = test.__dict__.get(NEEDS, frozenset())
    return needs


def _marks(thing: Any, *names: str) -> list[pytest.Mark]:
    found = getattr(thing, "pytestmark", [])
    return [mark for mark in found if mark.name in names]


def _typed(cls: type[ConformanceBase]) -> set[str]:
    """Names that an author set to None by hand (we do it only where needs fail)."""
    has = has_of(cls)
    return {n for n, t in suite_tests(cls).items() if needs_of(t) <= has}
