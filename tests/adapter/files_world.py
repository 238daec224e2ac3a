"""Folders of files for the tests: some layouts, and a way round the adapter."""

from __future__ import annotations

import json
import os
import secrets
import time
from dataclasses import replace

from moatbridge.adapter import (
    Field,
    Folder,
    FolderConfig,
    Partition,
    make_adapter,
    record_files,
)
from moatbridge.changes import Ref
from moatbridge.testing import FolderHarness, net
from moatbridge.testing.stage import intent

LOGIN = Field("login", required=True, unique=True)
LONG_AGO = time.time() - 1000


class CardsConfig(FolderConfig):
    """Settings of the tests' adapters."""


def parse(data):
    PARSED.append(data)
    row = json.loads(data)
    return {"id": row["id"], "login": row["login"], "mail": row.get("mail")}


def parse_named(data):
    row = json.loads(data)
    return {"login": row["login"], "mail": row.get("mail")}


def render(old, record):
    return json.dumps({**json.loads(old or b"{}"), **record}).encode()


def escapes_nothing(old, record):
    """Lines of `name: value`, as somebody writes them who forgot to escape."""
    lines = dict(line.split(": ", 1) for line in (old or b"").decode().splitlines())
    lines |= {name: value or "" for name, value in record.items()}
    return "".join(f"{name}: {value}\n" for name, value in lines.items()).encode()


def parse_lines(data):
    found = dict(line.split(": ", 1) for line in data.decode().splitlines())
    return {name: found.get(name) or None for name in ("id", "login", "mail")}


def forgetful(old, record):
    """Begins with an empty file each time, but for the key."""
    return json.dumps(
        {"id": json.loads(old)["id"], **record} if old else record
    ).encode()


PARSED = []
FIELDS = ["id", LOGIN, "mail"]
NAMED = {"parse": parse_named, "key_in_name": True}
BROUGHT = {"fields": [Field("id", required=True), LOGIN, "mail"]}


def people(**more):
    """People in a folder of JSON files with their key inside, but for what is said."""
    usual = {
        "name": "people",
        "key": "id",
        "fields": FIELDS,
        "suffix": ".json",
        "parse": parse,
        "render": render,
    }
    return record_files(**usual | more)


KINDS = {
    "in the file": people(),
    "in the name": people(**NAMED),
    "brought along": people(**BROUGHT),
    "brought along in the name": people(**NAMED, **BROUGHT),
    "forgetful": people(
        fields=["id", Field("login"), "mail"],
        parse=lambda data: {"login": None, "mail": None, **json.loads(data)},
        render=forgetful,
    ),
    "lines": people(suffix=".txt", parse=parse_lines, render=escapes_nothing),
    "below": people(subfolder="people"),
}
ADAPTERS = {
    name: make_adapter(
        "cards", CardsConfig, functions, connect=Folder, probe=Folder.identity
    )
    for name, functions in KINDS.items()
}
InFile, InName = ADAPTERS["in the file"], ADAPTERS["in the name"]


def opened(folder, kind="in the file", **more):
    adapter = ADAPTERS[kind](CardsConfig(folder=folder, page_size=2, **more), {})
    adapter.net = net([])
    adapter.open()
    return adapter


def put(folder, name, key, login=None, *, old=True, **more):
    path = folder / name
    path.write_text(json.dumps({"id": key, "login": login or f"login-{key}", **more}))
    if old:
        os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def scan(adapter, after=None):
    return list(adapter.scan("people", Partition(), after))


def keys(batches):
    return [change.ref.id for batch in batches for change in batch.changes]


def rejects(batches):
    return [reject for batch in batches for reject in batch.rejects]


def write(adapter, op, key, record, request=None):
    ref = None if key is None else Ref(key)
    asked = intent(op, ref, record)
    if request is not None:
        asked = replace(asked, key=request)
    [receipt] = adapter.write("people", [asked])
    return receipt


class InFileHarness(FolderHarness):
    adapter = InFile
    suffix = ".json"
    unique = "login"
    clearable = "mail"

    def file(self, record):
        return json.dumps({"id": secrets.token_hex(8), **record}).encode()

    def record(self, data):
        return json.loads(data)


class BelowHarness(InFileHarness):
    adapter = ADAPTERS["below"]
    subfolder = "people"


class NamedHarness(InFileHarness):
    adapter = InName
