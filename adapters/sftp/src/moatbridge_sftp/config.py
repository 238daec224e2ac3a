"""The settings of a system and of a stream (specification: sftp, section 2)."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from moatbridge.adapter import AdapterConfig, Secret
from moatbridge_sftp.checks import Controls  # noqa: TC001 - pydantic reads it
from moatbridge_sftp.formats.fields import FieldSpec  # noqa: TC001 - pydantic reads it
from moatbridge_sftp.places import (
    check_path,
    check_template,
    filled,
    front,
    is_below,
    matcher,
    parts_of,
    usual_names,
    within,
)
from moatbridge_sftp.rules import Action, Expect, Order, Pattern, Texts
from moatbridge_sftp.storage import IN_FLIGHT
from moatbridge_sftp.storage.urls import parse_url
from moatbridge_sftp.units import Duration, Size  # noqa: TC001 - pydantic reads it

IGNORED: Final = (
    ".*", "*.part", "*.tmp", "*.temp", "*.filepart", "*.writing", "*.partial", "*~",
    "*.crdownload", "*.!ut",
)  # fmt: skip


_NOT_NAMED: Final = (
    "the group `{}` of controls is compared with the file's name: set `sequence`, or "
    "`order` as a date (for `date`) or an int (for `sequence`)"
)
_NOT_OURS: Final = (
    "keep removes only what lies in a folder of ours: archive_to and failed_to must "
    "begin with a folder whose name has no date in it"
)


class Auth(AdapterConfig):
    """``auth``: how we log in; every value is a reference to a secret.

    Args:
        key: Private key, OpenSSH or PEM text.
        passphrase: Opens the key.
        certificate: User certificate of the key.
        password: For ``password`` and ``keyboard-interactive``.
        answers: Regular expression of a prompt -> what to answer.
    """

    key: Secret | None = None
    passphrase: Secret | None = None
    certificate: Secret | None = None
    password: Secret | None = None
    answers: dict[Pattern, Secret] = Field(default_factory=dict)


class JumpHost(AdapterConfig):
    """``jump``: an SSH host on the way; ``auth`` defaults to the server's key."""

    url: str = Field(repr=False)
    host_keys: tuple[str, ...] = ()
    known_hosts: str | None = None
    auth: Auth | None = None


class SftpConfig(AdapterConfig):
    """``[systems.NAME]`` with ``adapter = "sftp"``.

    Args:
        url: ``sftp://user@host[:22]/base`` or ``file:///base``; no password.
        host_keys: ``SHA256:...`` as ``ssh-keygen -lf`` prints; two during a rotation.
        known_hosts: Or a file that holds them.
        auth: How we log in.
        legacy_algorithms: Algorithms to allow again; each is a warning.
        in_flight: Bytes asked for ahead.
        max_rate: Bytes a second at most.
        spool_dir: Where files wait while they are processed; default: the system's.
        spool_memory: A file up to this size waits in memory.
        state_folder: A name inside each stream's folder, or ``/path`` below ``url``,
            on the same file system.
        jump: An SSH host on the way.
    """

    url: str = Field(repr=False)
    host_keys: tuple[str, ...] = ()
    known_hosts: str | None = None
    auth: Auth = Field(default_factory=Auth)
    legacy_algorithms: tuple[str, ...] = ()
    in_flight: Size = IN_FLIGHT
    max_rate: Size | None = None
    spool_dir: str | None = None
    spool_memory: Size = 8 << 20
    state_folder: str = ".moatbridge"
    jump: JumpHost | None = None

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        parse_url(url)
        return url

    @field_validator("state_folder")
    @classmethod
    def _state(cls, path: str) -> str:
        return check_path(path)

    @model_validator(mode="after")
    def _pinned(self) -> SftpConfig:
        if self.remote and not (self.host_keys or self.known_hosts):
            raise ValueError(
                "sftp:// needs host_keys (as `ssh-keygen -lf` prints them, checked "
                "with the owner) or known_hosts; a server is never trusted on first use"
            )
        return self

    @property
    def remote(self) -> bool:
        """Whether it is reached over SSH."""
        return parse_url(self.url).scheme == "sftp"


class SftpStreamConfig(AdapterConfig):
    """``[streams."SYSTEM/STREAM"]``: the files of one folder.

    The settings are explained in the adapter's README. ``publish = true`` makes a
    stream that is written: each batch becomes one file in ``folder``. ``page_size`` is
    the most records of one batch.
    """

    folder: str
    files: Texts = ("*",)
    content: Literal["delta", "snapshot", "records"]
    publish: bool = False
    key: tuple[str, ...] = Field(min_length=1)
    fields: dict[str, FieldSpec] = Field(min_length=1)
    action: Action | None = None
    entity: str | None = None
    page_size: int = Field(default=500, ge=1, le=500)

    format: str | None = None
    csv: dict[str, Any] = Field(default_factory=dict)
    fixed: dict[str, Any] = Field(default_factory=dict)
    jsonl: dict[str, Any] = Field(default_factory=dict)
    json_: dict[str, Any] = Field(default_factory=dict, alias="json")
    xml: dict[str, Any] = Field(default_factory=dict)
    copybook: dict[str, Any] = Field(default_factory=dict)
    x12: dict[str, Any] = Field(default_factory=dict)
    edifact: dict[str, Any] = Field(default_factory=dict)
    xlsx: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)

    order: Literal["name", "mtime"] | Order = "name"
    order_matters: bool = True
    sequence: Pattern | None = None
    on_gap: Literal["stop", "warn"] = "stop"
    ripe: Literal["settled", "done-file", "sidecar", "atomic"] = "settled"
    settle_for: Duration = 30.0
    done_file: str = "{stem}.done"
    ignore: tuple[str, ...] = IGNORED
    depth: int = Field(default=0, ge=0, le=5)
    follow_links: Literal[False] = False
    together: Literal["all"] | None = None
    every: bool = False
    name_groups: Pattern | None = None

    claim: Literal["rename", "none"] = "rename"
    after: Literal["archive", "delete", "leave"] = "archive"
    archive_to: str = "{state}/archive/{yyyy}/{mm}"
    failed_to: str = "{state}/failed"
    keep: Duration | None = None
    rejects_file: str | None = None
    ack_file: str | None = None

    on_bad_file: Literal["stop", "quarantine"] = "stop"
    on_same_content: Literal["process", "skip"] | None = None
    allow_empty: bool = False
    max_rejects: int | float = Field(default=0.01, ge=0)
    controls: Controls | None = None
    checksum: Literal["auto", "required", "off"] = "auto"
    decrypt: Secret | None = None
    decrypt_passphrase: Secret | None = None
    verify_by: Texts = ()
    verify_keys: Secret | None = None
    zip_password: Secret | None = None
    expect: Expect = Field(default_factory=Expect)
    max_file: Size = 4 << 30
    max_files: int = Field(default=50_000, ge=1, le=1_000_000)
    max_record: Size = 1 << 20

    file_name: str = "{stream}-{utc}-{key}.{ext}"
    rows_per_file: int = Field(default=10_000, ge=1, le=100_000)
    formula_guard: Literal["escape", "reject", "off"] | None = None
    header_line: str | None = None
    trailer_line: str | None = None
    publish_done: bool = False
    publish_gzip: bool = False
    publish_checksum: Literal["sha256", "sha1", "md5"] | None = None
    receipt_days: int = Field(default=30, ge=1)

    @field_validator("fields", mode="before")
    @classmethod
    def _fields(cls, value: Any) -> Any:
        """A list of names, ``"text"`` for a table, or tables."""
        if isinstance(value, list | tuple):
            value = dict.fromkeys(value, "text")
        if not isinstance(value, dict):
            return value
        return {
            name: {"type": spec} if isinstance(spec, str) else spec
            for name, spec in value.items()
        }

    @field_validator("folder")
    @classmethod
    def _folder(cls, path: str) -> str:
        return check_path(path)

    @field_validator("archive_to", "failed_to")
    @classmethod
    def _folders(cls, template: str) -> str:
        return check_template(template, "folder")

    @field_validator("rejects_file", "ack_file")
    @classmethod
    def _beside(cls, template: str | None) -> str | None:
        return None if template is None else check_template(template, "beside")

    @field_validator("done_file")
    @classmethod
    def _done(cls, template: str) -> str:
        if not re.search(r"\{(name|stem)\}", template):
            raise ValueError("must hold {name} or {stem}")
        return check_template(template, "done")

    @field_validator("file_name")
    @classmethod
    def _published(cls, template: str) -> str:
        if "{key}" not in template or "/" in template:
            raise ValueError("must hold {key}, which makes a repeat harmless, and no /")
        return check_template(template, "published")

    @model_validator(mode="after")
    def _consistent(self) -> SftpStreamConfig:
        for is_wrong, words in self._contradictions():
            if is_wrong:
                raise ValueError(words)
        return self

    def _contradictions(self) -> list[tuple[bool, str]]:
        groups = re.compile(self.name_groups or "").groupindex
        known = {*self.fields, *(groups if self.content == "records" else ())}
        return [
            (not set(self.key) <= known, "every name in key must stand in fields"),
            (
                self.format is None and self.content != "records",
                'format is needed (csv, fixed, jsonl ...), but for content = "records"',
            ),
            (
                self.action is not None and self.action.field not in self.fields,
                "action.field must stand in fields",
            ),
            (
                self.action is not None and self.content != "delta",
                'action belongs to content = "delta"',
            ),
            (
                self.after == "leave" and self.claim != "none",
                'after = "leave" needs claim = "none": a claim moves the file',
            ),
            (
                "date" in self._promised and not (self._is_dated or self.sequence),
                _NOT_NAMED.format("date"),
            ),
            (
                "sequence" in self._promised and not (self._counts or self.sequence),
                _NOT_NAMED.format("sequence"),
            ),
            (
                self.on_bad_file == "quarantine"
                and self.content == "delta"
                and self.order_matters,
                'on_bad_file = "quarantine" needs order_matters = false in a delta',
            ),
            (
                self.on_bad_file == "quarantine" and self.after == "leave",
                "a folder that is only read has nowhere to quarantine to",
            ),
            (
                self.checksum == "off" and self.ripe == "sidecar",
                'ripe = "sidecar" and checksum = "off" contradict each other',
            ),
            (
                any(map(self._feeds, (self.archive_to, self.failed_to))),
                "archive_to and failed_to must be folders that are not read again",
            ),
            (
                self.keep is not None and any(map(self._forgets, self._put_away)),
                _NOT_OURS,
            ),
            (
                any(map(self._answers, (self.ack_file, self.rejects_file))),
                "ack_file and rejects_file must not be read as data: change the name",
            ),
        ]

    @property
    def _promised(self) -> set[str]:
        return self.controls.meanings() if self.controls is not None else set()

    @property
    def _is_dated(self) -> bool:
        return isinstance(self.order, Order) and self.order.as_ == "date"

    @property
    def _counts(self) -> bool:
        return isinstance(self.order, Order) and self.order.as_ == "int"

    def _feeds(self, template: str) -> bool:
        """Whether what is put there is found by the next look."""
        if "{state}" in template:
            return False
        base = within(".", self.folder)
        whole, fixed = within(base, template), within(base, front(template))
        return whole == base or (self.depth > 0 and fixed == base)

    @property
    def _put_away(self) -> list[str]:
        """Templates of the folders that files are put into."""
        archive = [self.archive_to] if self.after == "archive" else []
        return archive + ([self.failed_to] if self.on_bad_file == "quarantine" else [])

    def _forgets(self, template: str) -> bool:
        """Whether what is put there cannot be told from what others put there."""
        base = within(".", self.folder)
        known = filled(template, state="/state/stream", stream="stream")
        return within(base, front(known)) in (base, ".")

    def _answers(self, template: str | None) -> bool:
        """Whether an answer to a usual file of `files` is taken for data."""
        if template is None or "{state}" in template:
            return False
        base = within(".", self.folder)
        folder = within(base, template).rpartition("/")[0] or "."
        if folder != base and (self.depth == 0 or not is_below(base, folder)):
            return False
        takes, passes = matcher(self.patterns), matcher(self.ignore)
        usual = usual_names(self.patterns)
        names = [filled(template, **parts_of(name)) for name in usual]
        return any(takes(name) and not passes(name) for name in names)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The globs of ``files``."""
        return self.files

    @property
    def table(self) -> dict[str, Any]:
        """The settings of the format."""
        if self.format is None:
            return {}
        name = "json_" if self.format == "json" else self.format
        own: Any = getattr(self, name, None) if name in _TABLES else None
        return {**(own or {}), **self.options}

    @property
    def skips_same(self) -> bool:
        """Whether a file whose content was read lately is passed over."""
        usual = "skip" if self.content == "snapshot" else "process"
        return (self.on_same_content or usual) == "skip"

    @property
    def takes_away(self) -> bool:
        """Whether files leave the folder when they are read."""
        return not self.publish and (self.claim == "rename" or self.after != "leave")

    @property
    def guard(self) -> Literal["escape", "reject", "off"]:
        """The guard against formulas: on where a file is published."""
        return self.formula_guard or ("escape" if self.publish else "off")


_TABLES: Final = frozenset({
    "csv", "fixed", "jsonl", "json_", "xml", "copybook", "x12", "edifact", "xlsx",
})  # fmt: skip
