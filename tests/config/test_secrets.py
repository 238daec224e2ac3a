from __future__ import annotations

import copy
import os
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

from config.adapters import registry
from config.test_reading import refused, whole
from moatbridge.adapter import Secret
from moatbridge.config import json_schema, parse
from moatbridge.config.secrets import secrets_in
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def with_secret(reference: str, **security: Any) -> dict[str, Any]:
    table = copy.deepcopy(whole())
    table["security"] = security
    table["systems"]["hr"]["auth"]["password"] = reference
    return table


def test_file_secrets_start_at_the_configs_folder(tmp_path: Path) -> None:
    (tmp_path / "hr.txt").write_text("s3cret-one\n")
    (tmp_path / "hr.txt").chmod(0o600)
    config = parse(with_secret("file:hr.txt"), registry(), base=tmp_path)
    password = config.systems["hr"].settings.auth.password
    assert password.get_secret_value() == "s3cret-one"
    assert config.warnings == ()
    (tmp_path / "hr.txt").write_text("s3cret-two\n")
    assert password.get_secret_value() == "s3cret-two"


def test_file_secrets_lie_only_in_listed_folders(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "hr.txt").write_text("s3cret-one")
    (outside / "hr.txt").chmod(0o600)
    (inside / "link.txt").symlink_to(outside / "hr.txt")
    for reference in (f"file:{outside}/hr.txt", "file:../out/hr.txt", "file:link.txt"):
        error = refused(with_secret(reference), base=inside)
        assert error.code == "secret.outside"
        table = with_secret(reference, secret_dirs=[str(outside)])
        password = parse(table, registry(), base=inside).systems["hr"].settings.auth
        assert password.password.get_secret_value() == "s3cret-one"


def read_within(secret: Secret, seconds: float = 5.0) -> ConfigurationError:
    """What reading the secret raises; a reader that hangs is left behind."""
    caught: list[ConfigurationError] = []

    def read() -> None:
        with pytest.raises(ConfigurationError) as error:
            secret.get_secret_value()
        caught.append(error.value)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(seconds)
    assert caught, "reading the secret hangs or gave a value"
    return caught[0]


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_a_secret_that_is_no_plain_file_is_refused_at_once(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "hr.txt"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    error = read_within(Secret(f"file:{path}"))
    assert error.code == "secret.unreadable"
    assert "is not a plain file" in str(error)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("swapped", ["the file", "its folder"])
def test_a_link_swapped_in_after_loading_leads_nowhere(
    tmp_path: Path, swapped: str, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder, value in ((inside / "deep", "s3cret-one"), (outside, "s3cret-two")):
        folder.mkdir(parents=True)
        (folder / "hr.txt").write_text(value)
    config = parse(with_secret("file:deep/hr.txt"), registry(), base=inside)
    password = config.systems["hr"].settings.auth.password
    if not told:  # as on systems without /proc
        monkeypatch.setattr("pathlib.Path.readlink", missing)
    assert password.get_secret_value() == "s3cret-one"
    again = pickle.loads(pickle.dumps(password))
    assert again == password
    moved = inside / "deep" / "hr.txt" if swapped == "the file" else inside / "deep"
    moved.rename(inside / "old")
    moved.symlink_to(outside / "hr.txt" if swapped == "the file" else outside)
    for secret in (password, again):
        with pytest.raises(ConfigurationError) as caught:
            secret.get_secret_value()
        assert caught.value.code == "secret.outside"
        assert "s3cret" not in str(caught.value)


def missing(path: Path) -> Path:
    raise FileNotFoundError(path)


def test_a_link_that_stays_inside_may_be_swapped(tmp_path: Path) -> None:
    """As Kubernetes rotates secrets."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hr.txt").write_text(f"s3cret-{name}")
    (tmp_path / "data").symlink_to("one")
    config = parse(with_secret("file:data/hr.txt"), registry(), base=tmp_path)
    password = config.systems["hr"].settings.auth.password
    assert password.get_secret_value() == "s3cret-one"
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "data")
    assert password.get_secret_value() == "s3cret-two"


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o640, 1), (0o604, 1)])
def test_a_file_others_can_read_warns(tmp_path: Path, mode: int, warned: int) -> None:
    (tmp_path / "hr.txt").write_text("s3cret-one")
    (tmp_path / "hr.txt").chmod(mode)
    config = parse(with_secret("file:hr.txt"), registry(), base=tmp_path)
    assert len(config.warnings) == warned
    assert all("chmod 600" in sentence for sentence in config.warnings)


def test_nothing_is_resolved_at_load_1() -> None:
    os.environ.pop("HR_PASSWORD", None)
    config = parse(whole(), registry())
    with pytest.raises(ConfigurationError) as caught:
        config.systems["hr"].settings.auth.password.get_secret_value()
    assert caught.value.code == "secret.missing"


CANARY = "canary-7f3a91"


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HR_PASSWORD", CANARY)
    return CANARY


def test_a_canary_shows_nowhere_after_it_was_resolved_2(canary: str) -> None:
    config = parse(whole(), registry())
    secrets = list(secrets_in(config))
    assert [secret.get_secret_value() for secret in secrets] == [canary]
    shown = [
        repr(config),
        str(config),
        config.model_dump_json(),
        repr(config.model_dump()),
        repr(secrets),
        str(pickle.dumps(secrets[0])),
        repr(config.systems["hr"].settings),
        str(json_schema(registry())),
    ]
    assert not any(canary in text for text in shown)
    assert "env:HR_PASSWORD" in config.systems["hr"].settings.model_dump_json()


@pytest.mark.parametrize("value", ["", "12345", None])
def test_a_missing_empty_or_short_secret_is_told_without_it(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HR_PASSWORD", raising=False)
    if value is not None:
        monkeypatch.setenv("HR_PASSWORD", value)
    with pytest.raises(ConfigurationError) as caught:
        Secret("env:HR_PASSWORD").get_secret_value()
    assert caught.value.code in {"secret.missing", "secret.empty", "secret.short"}
    assert "env:HR_PASSWORD" in str(caught.value)
    assert "12345" not in str(caught.value)
