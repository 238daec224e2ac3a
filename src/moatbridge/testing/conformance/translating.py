"""Translators that an adapter proposes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.testing.conformance.base import ConformanceBase, requires

if TYPE_CHECKING:
    from moatbridge.testing.stage import Stage


class Translating(ConformanceBase):
    """Needs the feature ``translator``."""

    @requires("translator")
    def test_translators_obey_the_laws(self, stage: Stage) -> None:
        """Nothing invented, lost or leaked, in both directions (L1-L6)."""
        from moatbridge.testing.laws import laws  # noqa: PLC0415 - loads Hypothesis

        stream = stage.stream(stage.open())
        for translator in stage.translators(stream):
            laws(translator, stream, max_examples=50)
