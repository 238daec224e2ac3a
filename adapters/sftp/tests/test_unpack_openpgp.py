"""OpenPGP with real gpg: nothing is believed before the program has said so."""

import gzip
import io
import random
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.testing import net
from moatbridge.testing.network import RecordingNet
from moatbridge_sftp.formats import BadFile
from moatbridge_sftp.unpack import Limits, OpenPgp, unpack
from moatbridge_sftp.unpack.openpgp import judge_status
from servers.drop_folder import until
from servers.gpg import PASSPHRASE, key_ring

__all__ = ["key_ring"]

DATA = b"A,B\n" + b"".join(b"%d,%d\n" % (i, i) for i in range(1000))


@pytest.fixture(scope="module")
def keys(key_ring):
    return OpenPgp(
        decrypt_key=key_ring.private("ours"),
        passphrase=PASSPHRASE,
        verify_keys=key_ring.public("supplier"),
        verify_by=(key_ring.fingerprint("supplier"),),
    )


def opened(data, openpgp, name="f.csv.pgp", limits=None):
    return [
        (one.name, one.file.read())
        for one in unpack(
            io.BytesIO(data),
            name,
            limits=limits or Limits(),
            new_spool=io.BytesIO,
            openpgp=openpgp,
        )
    ]


def reason(data, openpgp, **more):
    with pytest.raises(BadFile) as caught:
        opened(data, openpgp, **more)
    return caught.value.reason


@pytest.mark.parametrize("armor", [True, False])
def test_a_signed_and_encrypted_file_is_opened(key_ring, keys, armor):
    message = key_ring.message(gzip.compress(DATA), by="supplier", armor=armor)
    assert opened(message, keys, "f.csv.gz.pgp") == [("f.csv", DATA)]


def test_who_signed_matters(key_ring, keys):
    assert reason(key_ring.message(DATA), keys) == "signature"
    assert reason(key_ring.message(DATA, by="stranger"), keys) == "signature"
    both = OpenPgp(
        keys.decrypt_key,
        keys.passphrase,
        key_ring.public("supplier") + key_ring.public("stranger"),
        keys.verify_by,
    )
    assert reason(key_ring.message(DATA, by="stranger"), both) == "signature"


def test_a_file_that_is_not_wrapped_is_refused_once_keys_are_set(key_ring, keys):
    assert reason(DATA, keys) == "not-encrypted"
    assert reason(gzip.compress(DATA), keys) == "not-encrypted"
    signed = key_ring.signed(DATA, "supplier")
    assert reason(signed, keys) == "decrypt"
    verify_only = OpenPgp(verify_keys=keys.verify_keys, verify_by=keys.verify_by)
    assert opened(signed, verify_only)[0][1] == DATA


def test_another_key_or_a_wrong_passphrase_does_not_open_it(key_ring, keys):
    assert reason(key_ring.message(DATA, to="stranger", by="supplier"), keys) in {
        "signature",
        "decrypt",
    }
    wrong = OpenPgp(keys.decrypt_key, "not this one")
    assert reason(key_ring.message(DATA), wrong) == "decrypt"


def test_truncated_and_tampered_messages_are_bad_though_gpg_lets_plaintext_out(
    key_ring, keys
):
    data = random.Random(7).randbytes(3 << 20)
    message = key_ring.message(data)
    plain = OpenPgp(keys.decrypt_key, keys.passphrase)
    assert opened(message, plain)[0][1] == data
    spool = io.BytesIO()
    with pytest.raises(BadFile) as caught:
        plain.open_message(io.BytesIO(message[: 2 << 20]), spool, Limits())
    assert caught.value.reason == "decrypt"
    assert len(spool.getvalue()) > 1 << 20
    tampered = bytearray(message)
    tampered[len(message) // 2] ^= 1
    assert reason(bytes(tampered), plain) == "decrypt"


def test_limits_hold_inside_a_message(key_ring, keys):
    bomb = key_ring.message(bytes(30 << 20), compress=True)
    plain = OpenPgp(keys.decrypt_key, keys.passphrase)
    assert reason(bomb, plain) == "unpack-ratio"
    limits = Limits(max_file=1 << 20, ratio=10**6)
    assert reason(bomb, plain, limits=limits) == "unpacked-size"


def test_settings_that_cannot_work_are_said(key_ring, keys):
    message = key_ring.message(DATA)
    with pytest.raises(ConfigurationError) as caught:
        opened(message, None)
    assert caught.value.code == "sftp.openpgp"
    for broken in (
        OpenPgp("no key at all"),
        OpenPgp(keys.decrypt_key, program="no-gpg"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            opened(message, broken)
        assert caught.value.code == "sftp.openpgp"


def test_keys_and_passphrase_are_never_shown(keys):
    assert PASSPHRASE not in repr(keys)
    assert "PRIVATE" not in repr(keys)


SILENT = """#!/bin/sh
case "$*" in *--import*) exit 0;; esac
sleep 600 &
echo $! > "{pid}"
wait
"""


@pytest.mark.parametrize("how", ["deadline", "abort"])
def test_a_gpg_that_says_nothing_ends_with_the_call_and_its_children(tmp_path, how):
    program, child = tmp_path / "gpg", tmp_path / "pid"
    program.write_text(SILENT.format(pid=child))
    program.chmod(0o700)
    recorded = RecordingNet(net([], deadline=1.0 if how == "deadline" else 600.0))
    openpgp = OpenPgp("a key", net=recorded, program=str(program))

    def cut():
        until(lambda: child.exists() and child.read_text().strip())
        recorded.cut()

    with ThreadPoolExecutor(1) as pool:
        aborting = pool.submit(cut) if how == "abort" else None
        with pytest.raises(NotApplied) as caught:
            opened(b"\x85\x01 a message", openpgp)
        if aborting is not None:
            aborting.result()
    recorded.forget()
    assert caught.value.code == "sftp.deadline"
    number = child.read_text().strip() if child.exists() else ""  # ended before it
    until(lambda: not (number and _lives(number)))


ENDLESS = """#!/bin/sh
case "$*" in *--import*) exit 0;; esac
exec 1>&-
sleep 600
"""


@pytest.mark.parametrize("script", [SILENT, ENDLESS], ids=["no output", "no end"])
@pytest.mark.parametrize("seconds", [600.0, None])
def test_a_file_over_which_gpg_falls_silent_is_bad(
    tmp_path, monkeypatch, script, seconds
):
    """Else it would be read again for ever, and none behind it."""
    monkeypatch.setattr("moatbridge_sftp.unpack.openpgp._STALL", 0.3)
    program = tmp_path / "gpg"
    program.write_text(script.format(pid=tmp_path / "pid"))
    program.chmod(0o700)
    recorded = RecordingNet(net([], deadline=seconds)) if seconds else None
    openpgp = OpenPgp("a key", net=recorded, program=str(program))
    assert reason(b"\x85\x01 a message", openpgp) == "decrypt"
    if recorded is not None:
        recorded.forget()


def _lives(pid):
    """Not gone, and no zombie that nobody has waited for yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_nothing_is_left_behind(key_ring, keys, monkeypatch):
    folder = Path(tempfile.mkdtemp(prefix="t-"))  # short: an agent's socket lies below
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    opened(key_ring.message(DATA, by="supplier"), keys)
    assert reason(b"\x85\x01broken", keys) in {"decrypt", "signature"}
    assert list(folder.iterdir()) == []
    folder.rmdir()


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "DECRYPTION_OKAY",
        "DECRYPTION_OKAY\nGOODSIG x\nVALIDSIG BB a b",
        "DECRYPTION_OKAY\nGOODSIG x\nVALIDSIG AA a AA\nERRSIG y",
        "DECRYPTION_OKAY\nGOODSIG x\nVALIDSIG AA a AA\nGOODSIG z\nVALIDSIG BB a BB",
        "DECRYPTION_OKAY\nREVKEYSIG x\nVALIDSIG AA a AA",
        "DECRYPTION_OKAY\nEXPKEYSIG x\nVALIDSIG AA a AA",
        "PLAINTEXT a\nPLAINTEXT b\nDECRYPTION_OKAY\nGOODSIG x\nVALIDSIG AA a AA",
        "DECRYPTION_OKAY\nDECRYPTION_FAILED\nGOODSIG x\nVALIDSIG AA a AA",
    ],
)
def test_status_lines_that_are_not_enough(lines):
    status = "\n".join(f"[GNUPG:] {line}" for line in lines.splitlines())
    with pytest.raises(BadFile):
        judge_status(status, 0, encrypted=True, signers=["AA"])
    good = "[GNUPG:] DECRYPTION_OKAY\n[GNUPG:] GOODSIG x\n[GNUPG:] VALIDSIG SUB a AA"
    judge_status(good, 0, encrypted=True, signers=["a a"])
    with pytest.raises(BadFile):
        judge_status(good, 2, encrypted=True, signers=["AA"])
