"""HTML of a legacy record on its way to a platform that only knows plain text."""

from __future__ import annotations

from flow.decisions_world import DecisionWorld

ORDERS = {
    "translator": {
        "entity": "Post",
        "fields": {
            "content": {"template": "<p>Order {id}</p>{state}"},
            "mediaType": {"const": "text/html"},
            "audience": {"const": {"kind": "org"}},
        },
    }
}


def test_a_platform_that_cannot_say_html_gets_plain_text_and_no_script(tmp_path):
    state = "<script>x()</script><p onclick=y>over <b>9</b></p>"
    world = DecisionWorld(tmp_path, state=state, streams={"erp/orders": ORDERS})
    try:
        shown = [row.data["content"] for row in world.systems["social"].all("posts")]
        assert sorted(shown) == [f"Order {n}\n\nover 9" for n in ("4711", "4712")]
        world.run("orders")
        kinds = [e.op for e in world.systems["social"].effects()]
        assert kinds == ["create"] * len(shown)
    finally:
        world.close()
