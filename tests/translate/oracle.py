"""A slow interpreter of translators, to compare the compiled functions with.

Walks declared paths for every record; shares only the path parser with the product.
"""

from __future__ import annotations

from moatbridge.entities.paths import Slot, parse
from moatbridge.translate.sources import Const, Copy, First, Ref, Template
from moatbridge.translate.templates import Hole
from moatbridge.translate.templates import parse as parse_template

GONE = object()


def look(data, path, missing, *, list_is_complete):
    """The value at a path; ``missing`` for what is not there."""
    inside_list = False
    for segment in parse(path):
        if data is None or data is GONE:
            return data
        nothing = None if inside_list and list_is_complete else missing
        data = data.get(segment.name, nothing)
        if isinstance(segment.selector, Slot) and isinstance(data, list):
            key, value = segment.selector
            inside_list = True
            nothing = None if list_is_complete else missing
            data = next((e for e in data if e.get(key) == value), nothing)
    return data


def put(data, path, value):
    segments = parse(path)
    for segment in segments[:-1]:
        if isinstance(segment.selector, Slot):
            key, wanted = segment.selector
            entries = data.setdefault(segment.name, [])
            found = next((e for e in entries if e.get(key) == wanted), None)
            if found is None:
                found = {key: wanted}
                entries.append(found)
            data = found
        else:
            data = data.setdefault(segment.name, {})
    data[segments[-1].name] = value


class Oracle:
    def __init__(self, translator, stream):
        self.translator = translator
        self.multi = {f.name for f in stream.fields if f.multi}
        self.fixed = {f.name for f in stream.fields if not f.writable}

    def decode(self, record, incomplete=(), *, partial=False):
        entity = {}
        record = {**record, **dict.fromkeys(incomplete, GONE)}
        for path, source in self.translator.fields.items():
            value = self._decode(source, record, GONE if partial else None)
            if value is not GONE:
                put(entity, path, value)
        return entity

    def encode(self, entity, before=None, *, new=False):
        record, taken = {}, set()
        for path, source in self.translator.fields.items():
            target = self._target(source)
            if target is None or target in taken:
                continue
            taken.add(target)
            value = look(entity, path, GONE, list_is_complete=False)
            if value is GONE or (new and value is None):
                continue
            put(
                record,
                target,
                self._encode(source, target, value, {} if new else before),
            )
        return {k: v for k, v in record.items() if not new or v not in (None, [])}

    def _raw(self, path, record, missing):
        value = look(record, path, missing, list_is_complete=True)
        if isinstance(value, list):
            return min(value) if value else None
        return value

    def _decode(self, source, record, missing):
        if isinstance(source, Const):
            return source.value
        if isinstance(source, Template):
            return self._template(source, record, missing)
        if isinstance(source, First):
            return self._first(source, record, missing)
        return self._through(source, self._raw(source.path, record, missing))

    def _through(self, source, value):
        if value is None or value is GONE:
            return value
        if isinstance(source, Ref):
            return {"stream": source.to, source.by: value}
        for converter in source.via:
            value = converter.decode(value)
        return value

    def _first(self, source, record, missing):
        for path in source.paths:
            value = self._raw(path, record, missing)
            if value is GONE:
                return GONE
            if value not in (None, "", []):
                return value
        return None

    def _template(self, source, record, missing):
        result, dead = "", False
        for part in parse_template(source.text):
            if not isinstance(part, Hole):
                result += part
                continue
            value = self._raw(part.path, record, missing)
            if value is GONE:
                return GONE
            if value is None and not part.optional:
                result, dead = "", True
            result += value or ""
        return None if dead else result

    def _target(self, source):
        if isinstance(source, First):
            target = source.back
        elif isinstance(source, (Copy, Ref)):
            target = source.path
        else:
            target = None
        return None if target is None or parse(target)[0].name in self.fixed else target

    def _encode(self, source, target, value, before):
        if isinstance(source, Ref) and value is not None:
            value = value[source.by]
        raw = value
        if isinstance(source, Copy) and raw is not None:
            for converter in reversed(source.via):
                raw = converter.encode(raw)
        name = parse(target)[0].name
        if name not in self.multi or len(parse(target)) > 1:
            return raw
        current = (before or {}).get(name) or []
        if raw is None:
            return []
        if not current:
            return [raw]
        smallest = min(current)
        if self._decode(source, {name: [smallest]}, None) == self._seen(source, value):
            return list(current)
        if raw in current:
            return list(current)
        return [raw if each == smallest else each for each in current]

    def _seen(self, source, value):
        return (
            {"stream": source.to, source.by: value}
            if isinstance(source, Ref)
            else value
        )
