"""Writes XML, one record element at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from lxml import etree

from moatbridge_sftp.formats.base import Refusal, Writer
from moatbridge_sftp.formats.fields import FieldSpec, source_of
from moatbridge_sftp.formats.values import cell_writer
from moatbridge_sftp.formats.xml_document import XmlConfig, root_steps, steps_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class XmlWriter(Writer):
    """See `Writer`; the document is complete only after ``close``."""

    def __init__(
        self, file: BinaryIO, fields: Mapping[str, FieldSpec], config: XmlConfig
    ) -> None:
        self._file = file
        *self._outer, self._tag = root_steps(config)
        self._spaces = {(k or None): v for k, v in config.namespaces.items()}
        self._multi = set(config.multi)
        self._writers = [
            (name, steps_of(source_of(name, spec), config.namespaces), spec)
            for name, spec in fields.items()
        ]
        self._cells = {name: cell_writer(spec) for name, spec in fields.items()}
        self._end = self._open()

    def _open(self) -> bytes:
        """Write the outer elements' start tags; returns their end tags."""
        node = root = etree.Element(self._outer[0], nsmap=self._spaces)
        for step in self._outer[1:]:
            node = etree.SubElement(node, step)
        node.text = "\n"
        start, _, end = etree.tostring(root).partition(b"\n")
        self._file.write(b'<?xml version="1.0" encoding="utf-8"?>\n' + start + b"\n")
        return bytes(end)

    def write(self, records: Sequence[Mapping[str, Any]]) -> list[Refusal | None]:
        """See `Writer.write`."""
        return [self._one(record) for record in records]

    def _one(self, record: Mapping[str, Any]) -> Refusal | None:
        node = etree.Element(self._tag, nsmap=self._spaces)
        for name, steps, _ in self._writers:
            try:
                self._put(node, steps, name, record.get(name))
            except ValueError as error:
                reason = str(error)
                if "XML compatible" in reason:
                    reason = "holds a character that XML cannot carry"
                return Refusal(name, reason)
        self._file.write(etree.tostring(node, encoding="utf-8") + b"\n")
        return None

    def _put(self, node: Any, steps: list[str], name: str, value: Any) -> None:
        if name in self._multi:
            if value is not None and not isinstance(value, list):
                raise ValueError("is not a list")
            texts = [self._cells[name](each) for each in value or ()]
            if "" in texts:
                raise ValueError("has an empty entry, which XML cannot carry")
        else:
            text = self._cells[name](value)
            texts = [text] if text else []
        for text in texts:
            _place(node, steps, text, repeat=name in self._multi)

    def close(self) -> None:
        """See `Writer.close`."""
        self._file.write(self._end + b"\n")


def _place(node: Any, steps: list[str], text: str, *, repeat: bool) -> None:
    *outer, last = [step for step in steps if step != "."] or [""]
    for step in outer:
        found = node.find(step)
        node = etree.SubElement(node, step) if found is None else found
    if last.startswith("@"):
        node.set(last[1:], text)
    elif not last:
        node.text = text
    else:
        found = None if repeat else node.find(last)
        child = etree.SubElement(node, last) if found is None else found
        child.text = text
