"""The page as HTML, usable without a script. What is not ours is escaped or cleaned."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from moatbridge.entities.text import sanitise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moatbridge.demo.serve.snapshot import Shown, Snapshot, Table

STYLE: Final = """
:root { --ink: #1c2430; --soft: #5d6b7e; --line: #dfe5ec; --paper: #f4f6f9;
  --card: #fff; --accent: #2b5fb3; --good: #1d7a4c; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
header { padding: 1.2rem 2rem; background: var(--card);
  border-bottom: 1px solid var(--line); }
header h1 { margin: 0; font-size: 1.25rem; }
header p { margin: .2rem 0 0; color: var(--soft); max-width: 60rem; }
main { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr);
  gap: 1.5rem; padding: 1.5rem 2rem; max-width: 82rem; margin: 0 auto; }
@media (max-width: 60rem) { main { grid-template-columns: minmax(0, 1fr); } }
h2 { font-size: 1rem; margin: 0 0 .8rem; color: var(--soft); font-weight: 600; }
article, section.table { background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 1rem 1.2rem; margin-bottom: 1rem; }
.who { display: flex; gap: .7rem; align-items: center; }
.face { width: 2.2rem; height: 2.2rem; border-radius: 50%; background: var(--accent);
  color: #fff; display: grid; place-items: center; font-weight: 600; flex: none; }
.who b { display: block; line-height: 1.2; }
.who small, .meta, th { color: var(--soft); font-size: .85rem; }
.text p { margin: .6rem 0; overflow-wrap: anywhere; }
.edited { color: var(--good); }
details { margin-top: .4rem; font-size: .9rem; }
details .text { border-left: 3px solid var(--line); padding-left: .8rem;
  color: var(--soft); }
.answers { border-left: 3px solid var(--line); margin: .8rem 0 0 1rem;
  padding-left: 1rem; }
.answers > div { margin-bottom: .6rem; }
form { display: flex; gap: .5rem; margin-top: .8rem; flex-wrap: wrap; }
select, input, button { font: inherit; padding: .35rem .6rem;
  border: 1px solid var(--line); border-radius: 6px; background: #fff; color: inherit; }
input { flex: 1; min-width: 10rem; }
button { background: var(--accent); color: #fff; border-color: var(--accent);
  cursor: pointer; }
:focus-visible { outline: 3px solid #8db4ea; outline-offset: 1px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; vertical-align: top;
  border-top: 1px solid var(--line); overflow-wrap: break-word; }
td:last-child { overflow-wrap: anywhere; }
th { border-top: 0; font-weight: 600; }
.none { color: var(--soft); }
"""

SCRIPT: Final = """
// Look again every 15 seconds, but never while somebody is typing an answer.
setInterval(() => {
  const answers = document.querySelectorAll('input[name=text]');
  if (![...answers].some((each) => each.value)) location.reload();
}, 15000);
"""

_READERS: Final = {
    "private": "for the company",
    "direct": "for the people named",
    "public": "for everybody",
}

_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<noscript><meta http-equiv="refresh" content="15"></noscript>
<script src="/refresh.js" defer></script>
<title>moatbridge demo</title><link rel="stylesheet" href="/style.css"></head><body>
<header><h1>The company's timeline, as people see it</h1>
<p>The orders come from the ERP system. Answer one with <b>approve</b> or <b>reject</b>
and a comment: the bridge carries it back under that person's own name, and the post
shows the outcome. The page looks again every 15 seconds.</p></header>
<main><div><h2>Timeline</h2>
"""


def render(snapshot: Snapshot) -> str:
    """The whole page."""
    posts = "".join(_post(each, snapshot.people) for each in snapshot.posts)
    tables = "".join(map(_table, snapshot.tables))
    if not posts:
        posts = '<p class="none">No posts yet.</p>'
    middle = "</div><div><h2>What the systems hold</h2>"
    return f"{_HEAD}{posts}{middle}{tables}</div></main></body></html>"


def _post(post: Shown, people: Iterable[str]) -> str:
    answers = "".join(f"<div>{_body(each)}</div>" for each in post.answers)
    thread = f'<div class="answers">{answers}</div>' if answers else ""
    earlier = "".join(f'<div class="text">{sanitise(v)}</div>' for v in post.versions)
    if earlier:
        words = f"{len(post.versions)} earlier version" + "s" * (len(post.versions) > 1)
        earlier = f"<details><summary>{words}</summary>{earlier}</details>"
    ident = escape(post.ident, quote=True)
    form = _form(ident, people)
    return f'<article id="p{ident}">{_body(post)}{earlier}{thread}{form}</article>'


def _body(post: Shown) -> str:
    name, moment = escape(post.author), escape(_moment(post.moment))
    edited = ""
    if post.edited:
        edited = f' · <span class="edited">edited {escape(_moment(post.edited))}</span>'
    readers = escape(_READERS.get(post.visibility, post.visibility))
    meta = f"@{escape(post.handle)} · {moment} · {readers}{edited}"
    face = escape(post.author[:1].upper())
    return (
        f'<div class="who"><span class="face" aria-hidden="true">{face}</span>'
        f"<span><b>{name}</b><small>{meta}</small></span></div>"
        f'<div class="text">{sanitise(post.markup)}</div>'
    )


def _form(ident: str, people: Iterable[str]) -> str:
    options = "".join(f"<option>{escape(name)}</option>" for name in people)
    return (
        '<form method="post" action="/reply">'
        f'<input type="hidden" name="post" value="{ident}">'
        f'<select name="who" aria-label="Answer as">{options}</select>'
        '<input name="text" maxlength="300" required aria-label="Your answer" '
        'placeholder="approve, looks good"><button>Answer</button></form>'
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in table.rows
    )
    body = f"<table><tr>{head}</tr>{rows}</table>"
    if not rows:
        body = f'<p class="none">{escape(table.empty)}</p>'
    return f'<section class="table"><h2>{escape(table.title)}</h2>{body}</section>'


def _moment(text: str) -> str:
    return text.replace("T", " ")[:16]
