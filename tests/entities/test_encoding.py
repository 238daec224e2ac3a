"""The encoder that is kept says what the standard one says."""

import json
from decimal import Decimal
from json import encoder

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.entities.encoding import json_encoder

texts = st.text() | st.sampled_from(["\ud800", "\0", "\u2028"])
plain = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    plain, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=12
)


@given(values, st.booleans())
def test_the_text_is_the_standard_encoders(value, sort_keys):
    standard = json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys
    )
    assert json_encoder(sort_keys=sort_keys)(value) == standard


def test_what_is_no_plain_data_goes_to_default():
    assert json_encoder(default=str)({"n": Decimal("1.50")}) == '{"n":"1.50"}'
    with pytest.raises(TypeError):
        json_encoder()({"n": Decimal("1.50")})


def test_no_number_that_json_lacks_passes_where_none_may():
    with pytest.raises(ValueError, match="JSON compliant"):
        json_encoder(allow_nan=False)([float("nan")])


def test_an_interpreter_without_the_c_encoder_says_the_same(monkeypatch):
    monkeypatch.setattr(encoder, "c_make_encoder", None)
    assert json_encoder(sort_keys=True)({"b": 1, "a": "é"}) == '{"a":"é","b":1}'
