"""Hostile answers end in a typed error, quickly and in bounded memory (soap 6)."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.demo.servers.erp.wsdl import wsdl
from moatbridge.errors import MoatbridgeError, NotApplied, Rejected
from moatbridge_soap.decode import DecodeSettings, compile_answer
from servers.soap_hostile import BODIES, ITEM, HostileSoap, answer
from servers.soap_php import ORDERS
from servers.soap_schema import operation_of

CURSOR = "ListOrdersResponse/nextCursor"


def decoder_in(folder, **settings):
    file = Path(folder) / "erp.wsdl"
    file.write_text(wsdl("erp", "http://127.0.0.1:9/"))
    return compile_answer(
        operation_of(file, "ListOrders"),
        items="ListOrdersResponse/orders/order",
        item=None,
        paths=[CURSOR],
        settings=DecodeSettings(key=("orderNr",), **settings),
    )


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return decoder_in(tmp_path_factory.mktemp("hostile"))


def read(decoder, pieces):
    found = decoder.read(pieces, content_type="text/xml")
    return list(found), found


DTD = [name for name in BODIES if name.startswith(("dtd", "laughs", "billion"))]
TOO_LARGE = [
    "endless-whitespace-inside", "endless-text", "endless-comment", "name-of-5-mb",
    "deep-nesting", "endless-record", "endless-junk", "endless-headers-block",
]  # fmt: skip
NOT_SOAP = [
    "quadratic-blowup", "endless-whitespace", "two-envelopes", "two-bodies",
    "trailing-garbage", "html-page", "not-xml", "empty", "binary", "other-root",
    "other-envelope", "envelope-inside", "undeclared-prefix", "mismatched-tags",
    "invalid-utf-8", "nul-byte", "multiref-bomb", "multiref-cycle",
]  # fmt: skip
TRUNCATED = [name for name in BODIES if name.startswith("truncated")]
ATTRIBUTES = ["200000-attributes", "200000-namespaces"]
EXPECTED = (
    [(name, Rejected, "soap.dtd") for name in DTD]
    + [(name, Rejected, "soap.too-large") for name in TOO_LARGE]
    + [(name, NotApplied, "soap.not-soap") for name in NOT_SOAP]
    + [(name, NotApplied, "soap.truncated") for name in TRUNCATED]
)


def test_every_behaviour_has_an_expectation():
    assert {name for name, *_ in EXPECTED} | set(ATTRIBUTES) == set(BODIES)


@pytest.mark.parametrize(("name", "kind", "code"), EXPECTED)
def test_a_hostile_answer_is_a_typed_error_at_once(decoder, name, kind, code):
    began = time.process_time()
    with pytest.raises(kind) as caught:
        read(decoder, BODIES[name]())
    assert caught.value.code == code
    assert time.process_time() - began < 5


def _large(megabytes):
    """An order whose attachment is that large, in pieces, text after its start tag."""
    before, _, after = answer(
        f"{ITEM[:-8]}<attachment>@</attachment></order>"
    ).partition("@")
    yield before.encode()
    yield from [b"QUJD" * 250_000] * megabytes
    yield after.encode()


@pytest.mark.parametrize(
    ("more", "limit"),
    [({}, "max_record"), ({"max_record": 2**26}, "one text 10 MB")],
    ids=["our own limit", "libxml2's"],
)
def test_a_value_that_is_too_large_is_named_with_the_limit(tmp_path, more, limit):
    """Never read with ``huge_tree``; whoever meets it must know which field (soap 45)."""
    with pytest.raises(Rejected) as caught:
        read(decoder_in(tmp_path, **more), _large(12))
    assert caught.value.code == "soap.too-large"
    assert "'attachment'" in caught.value.message
    assert limit in caught.value.message
    assert "QUJD" not in caught.value.message


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_very_many_attributes_or_namespaces_reject_the_item(decoder, name):
    began = time.process_time()
    [item], _ = read(decoder, BODIES[name]())
    assert item.reject.reason in {"soap.too-large", "soap.missing"}
    assert time.process_time() - began < 5


def test_the_page_instead_of_an_answer_is_named_by_its_title_only(decoder):
    with pytest.raises(NotApplied, match=r"titled 'Sign in &amp; go'") as caught:
        read(decoder, BODIES["html-page"]())
    assert "\x07" not in str(caught.value)


def test_no_error_carries_a_value_of_the_answer(decoder):
    canary = "CanaryInTheAnswer"
    broken = [
        answer(ITEM.replace("ann", canary)).replace("</status>", "</stadus>"),
        answer(ITEM.replace("ann", canary))[:-5],
        answer(ITEM.replace("<title>t", f"<title>{canary}&nosuch;")),
        answer(ITEM).replace("ListOrdersResponse", "Other").replace("ann", canary),
    ]
    for text in broken:
        with pytest.raises(MoatbridgeError) as caught:
            read(decoder, iter([text.encode()]))
        assert canary not in f"{caught.value!r} {caught.value.__dict__}"
        assert caught.value.__cause__ is None


MEMORY = """
import sys
sys.path[:0] = {paths!r}
import test_hostile_xml as t
decoder = t.decoder_in({folder!r})
def peak():
    text = open("/proc/self/status").read()
    return int(text.split("VmHWM:")[1].split()[0]) // 1024
before = peak()
for name in {names!r}:
    try:
        t.read(decoder, t.BODIES[name]())
    except t.MoatbridgeError:
        pass
print(peak() - before)
def many():
    head, tail = t.answer("|").split("|")
    yield head.encode()
    for _ in range(150):
        yield (t.ITEM * 1000).encode()
    yield tail.encode()
before = peak()
assert sum(1 for _ in decoder.read(many(), content_type="text/xml")) == 150_000
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_near_the_limits_and_flat_over_many_items(tmp_path):
    here = Path(__file__).parent
    code = MEMORY.format(
        paths=[str(here), str(here.parents[2] / "tests")],
        folder=str(tmp_path),
        names=[*TOO_LARGE, *ATTRIBUTES, "billion-laughs", "quadratic-blowup"],
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    hostile, flat = map(int, done.stdout.split())
    assert hostile < 200  # MiB over everything together; the bodies are gigabytes
    assert flat <= 8  # soap 7


# -- over HTTP -------------------------------------------------------------------------


def fetched(peer, decoder):
    pool = urllib3.PoolManager(retries=False)
    response = pool.request("POST", peer.url, body=b"<x/>", preload_content=False)
    try:
        chunks = response.stream(65536, decode_content=True)
        return list(decoder.read(chunks, content_type="text/xml"))
    finally:
        response.close()
        pool.clear()


def test_a_gzip_bomb_is_stopped_by_what_it_inflates_to(decoder):
    with HostileSoap("gzip-bomb") as peer, pytest.raises(Rejected) as caught:
        fetched(peer, decoder)
    assert caught.value.code == "soap.too-large"


def test_an_answer_cut_without_content_length_is_truncated(decoder):
    with HostileSoap("truncated-after-item") as peer:
        with pytest.raises(NotApplied) as caught:
            fetched(peer, decoder)
        assert caught.value.code == "soap.truncated"
        assert peer.requests[0].endswith(b"<x/>")


# -- properties ------------------------------------------------------------------------

_PARTS = [
    part + ">" for part in ITEM[len("<order>") : -len("</order>")].split(">") if part
]
FIELDS = [a + b for a, b in zip(_PARTS[::2], _PARTS[1::2], strict=True)]
UNKNOWN = [
    "<x/>",
    "<x><orderNr>no</orderNr></x>",
    "<é>y</é>",
    "<z:w xmlns:z='u'/>",
    "text",
]


@given(
    st.lists(st.sampled_from(UNKNOWN), max_size=4).flatmap(
        lambda extra: st.permutations(FIELDS + extra)
    ),
    st.integers(0, 12),
)
def test_random_order_unknown_and_missing_elements_never_raise(decoder, parts, keep):
    kept = parts[:keep] + parts[keep + 1 :]
    [item], found = read(
        decoder, iter([answer(f"<order>{''.join(kept)}</order>").encode()])
    )
    assert found.fault is None
    if FIELDS[0] in kept:
        assert item.reject is None
        assert item.record["orderNr"] == "PO-1"
    else:
        assert item.reject == ("soap.missing", "orderNr")


def mutated(chance, data):
    data = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data))
        what = chance.randrange(6)
        if what == 0:
            data[at] = chance.randrange(256)
        elif what == 1:
            del data[at : at + chance.randint(1, 40)]
        elif what == 2:
            data[at:at] = bytes(chance.choices(b"<>/&\"'=! -[]ax:;#", k=5))
        elif what == 3:
            piece = data[at : at + chance.randint(1, 200)]
            data[at:at] = piece * chance.randint(1, 3)
        elif what == 4:
            data[at:at] = chance.choice(DICTIONARY)
        else:
            del data[at:]
        if not data:
            return b"x"
    return bytes(data)


DICTIONARY = [
    b"<!DOCTYPE x>", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<?p ", b"?>", b"&amp;",
    b"&#0;", b"&#x110000;", b"<order>", b"</order>", b' xsi:nil="true"', b"\xef\xbb\xbf",
    b' xmlns=""', b"<e:Fault>", b"</e:Body>", b'href="#a"', b'id="a"', b"\xff\xfe",
]  # fmt: skip


def test_5000_mutated_answers_raise_only_typed_errors(decoder):
    chance = random.Random(20_26)
    whole = answer(ITEM * 3).encode()
    outcomes = set()
    for _ in range(5000):
        data = mutated(chance, whole)
        try:
            items, found = read(decoder, iter([data]))
            outcomes.add("faults" if found.fault else len(items))
            found.value(CURSOR)
        except MoatbridgeError as problem:
            outcomes.add(problem.code)
    assert {"soap.truncated", "soap.not-soap", "soap.dtd", 3} <= outcomes


def test_the_hostile_item_resembles_what_the_erp_sends():
    assert ORDERS[1].number.startswith(ITEM[len("<order><orderNr>") :][:3])
