"""Python's collector while slices work; it belongs to the product that imports us."""

from __future__ import annotations

import gc

import pytest

from moatbridge.flow import slices
from moatbridge.flow.collecting import rarely


@pytest.fixture(autouse=True)
def usual():
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield (700, 10, 10)
    gc.set_threshold(*before)


def test_it_looks_rarely_until_the_last_slice_ends(usual):
    with rarely(20_000):
        with rarely(20_000):
            assert gc.get_threshold() == (20_000, 10, 10)
        assert gc.get_threshold() == (20_000, 10, 10)
    assert gc.get_threshold() == usual


def test_the_product_gets_its_own_thresholds_back_after_an_error(usual):
    with pytest.raises(ValueError, match="slice"), rarely(20_000):
        raise ValueError("slice")
    assert gc.get_threshold() == usual


@pytest.mark.parametrize(("theirs", "asked"), [(700, 0), (50_000, 20_000), (0, 20_000)])
def test_it_is_left_alone_where_that_is_asked_for_or_it_looks_less_often(theirs, asked):
    gc.set_threshold(theirs, 10, 10)
    with rarely(asked):
        assert gc.get_threshold()[0] == theirs
    assert gc.get_threshold()[0] == theirs


def test_what_the_product_sets_meanwhile_stays():
    with rarely(20_000):
        gc.set_threshold(5000, 10, 10)
    assert gc.get_threshold()[0] == 5000


def test_slices_run_under_the_setting(worlds, monkeypatch):
    seen = set()
    run = slices._Slice.run

    def watched(one):
        seen.add(gc.get_threshold()[0])
        return run(one)

    monkeypatch.setattr(slices._Slice, "run", watched)
    world = worlds()
    world.go()
    assert world.states() == {"DONE": 5}
    assert seen == {20_000}
    assert gc.get_threshold()[0] == 700
