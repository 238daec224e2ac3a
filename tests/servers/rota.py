"""A staff rota over HTTP, with the habits of many small systems.

    python rota.py PORT TOKEN

Rows are counted by their place, at most 50 at once; there is no search; a row is written
whole, if its ``rev`` is the one in ``If-Match``; a number or login that is taken is 409.
What changed is numbered; of the numbers only the last 200 are known, the others are 410.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

NAMES = ("staff_no", "login", "email")
MOST = 50
KNOWN = 200
ROWS: dict[str, dict] = {}
TOUCHED: list[str] = []
LOCK = threading.Lock()


class Refused(Exception):
    """Answered with this status."""


def refuse(status, so):
    if so:
        raise Refused(status)


def listed(query):
    start, count = (int(query[name][0]) for name in ("offset", "limit"))
    refuse(400, not 0 < count <= MOST)
    return {"staff": [ROWS[key] for key in sorted(ROWS)][start : start + count]}


def checked(row, number=None):
    texts = [row.get(name) for name in NAMES]
    fine = all(
        isinstance(each, str | None) and len(each or "") <= 200 for each in texts
    )
    refuse(422, not fine or not row.get("staff_no") or not row.get("login"))
    others = (each for key, each in ROWS.items() if key != number)
    refuse(409, any(row["login"] == each["login"] for each in others))
    return {name: row.get(name) for name in NAMES}


def changes(query):
    """Numbers count what was touched; each change is the row as it is now."""
    if "after" not in query:
        return {"changes": [], "at": len(TOUCHED)}
    after = int(query["after"][0])
    refuse(410, not len(TOUCHED) - KNOWN <= after <= len(TOUCHED))
    page = TOUCHED[after : after + MOST]
    rows = [ROWS.get(key, {"staff_no": key, "left": True}) for key in page]
    return {"changes": rows, "at": after + len(page)}


def made(row):
    row = checked(row)
    refuse(409, row["staff_no"] in ROWS)
    TOUCHED.append(row["staff_no"])
    return ROWS.setdefault(row["staff_no"], {**row, "rev": 1})


def put(number, row, version):
    rev = ROWS[number]["rev"]
    refuse(412, version != f'"{rev}"')
    refuse(422, row.get("staff_no") != number)
    ROWS[number] = {**checked(row, number), "rev": rev + 1}
    TOUCHED.append(number)
    return ROWS[number]


def gone(number):
    TOUCHED.append(number)
    return ROWS.pop(number)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer leaves in one piece

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with LOCK:
            try:
                status, said = 200, self.said(json.loads(body or b"null"))
            except Refused as refused:
                status, said = refused.args[0], {"error": "no"}
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names

    def said(self, row):  # noqa: PLR0911 - a line for each request
        refuse(401, self.headers.get("Authorization") != f"Bearer {sys.argv[2]}")
        url = urlsplit(self.path)
        match self.command, [unquote(part) for part in url.path.split("/")[1:]]:
            case "GET", ["info"]:
                return {"site": "rota-7"}
            case "GET", ["staff"]:
                return listed(parse_qs(url.query))
            case "GET", ["changes"]:
                return changes(parse_qs(url.query))
            case "POST", ["staff"]:
                return made(row)
            case _, ["staff", number] if number not in ROWS:
                raise Refused(404)
            case "GET", ["staff", number]:
                return ROWS[number]
            case "PUT", ["staff", number]:
                return put(number, row, self.headers["If-Match"])
            case "DELETE", ["staff", number]:
                return gone(number)
        raise Refused(404)

    def log_message(self, *_):
        pass


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A caller that hangs up is nothing to report."""


if __name__ == "__main__":
    Quiet(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
