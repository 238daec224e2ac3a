"""A delivery comes in, is acknowledged, and reaches the target once."""

from __future__ import annotations

from gateway.sending import deliver, person


def test_a_delivery_reaches_the_target(world, working):
    assert deliver(working.port, "m1", person("ada"))[0] == 200
    assert list(world.landed()) == ["ada"]


def test_an_update_and_a_delete_follow_in_order(world, working):
    deliver(working.port, "m1", person("ada"))
    deliver(working.port, "m2", person("ada", given="Augusta", kind="person.updated"))
    assert world.landed()["ada"]["given"] == "Augusta"
    deliver(working.port, "m3", person("ada", kind="person.deleted"))
    assert world.landed()["ada"]["active"] is False


def test_an_event_of_another_type_is_acknowledged_and_changes_nothing(world, working):
    assert deliver(working.port, "m1", person("ada", kind="invoice.paid"))[0] == 200
    deliver(working.port, "m2", person("bob"))
    assert list(world.landed()) == ["bob"]


def test_a_bad_event_waits_for_a_person_and_the_rest_is_taken(world, working):
    said = {
        "type": "person.created",
        "data": [{"id": "ada"}, {"id": None}, {"id": "bob"}],
    }
    assert deliver(working.port, "m1", said)[0] == 200
    assert set(world.landed()) == {"ada", "bob"}
    assert world.rows("SELECT reason, location, field FROM reject") == [
        ("webhook.key", "inbox/1/data[1]", "uid")
    ]


def test_nothing_is_carried_before_a_person_agreed(world, gateway):
    deliver(gateway.port, "m1", person("ada"))
    with world.bridge() as bridge:
        assert bridge.run("people").state == "planned"
    assert world.target() == []
    assert len(world.inbox()) == 1


def test_a_flow_reads_what_came_before_it_ever_ran(world, gateway):
    for number in range(20):
        assert deliver(gateway.port, f"m{number}", person(f"u{number}"))[0] == 200
    world.agree()
    with world.bridge() as bridge:
        result = bridge.run("people")
    assert result.state == "done"
    assert len(world.landed()) == 20
