"""Groups of groups: members that are nobody's are looked up among the groups."""

from __future__ import annotations

import pytest

from flow_world import World


class Nested(World):
    def config(self):
        config = super().config()
        members = {"each": "member", "ref": "{}/people", "by": "id"}
        for system, more in (("hr", {}), ("social", {"externalId": "ext"})):
            fields = {
                "displayName": "cn",
                "members": {**members, "ref": f"{system}/people"},
            }
            config["streams"][f"{system}/groups"] = {
                "translator": {"entity": "Group", "fields": {**fields, **more}}
            }
        return config

    def put_group(self, name, *members):
        self.hr.put("groups", [{"cn": name, "member": list(members)}])

    def members(self):
        rows = list(self.social.all("groups"))
        names = {row.ref.id: row.data["cn"] for row in rows}
        names |= {row.ref.id: row.data["uid"] for row in self.social.all("people")}
        return {
            row.data["cn"]: sorted(names[m] for m in row.data["member"] or ())
            for row in rows
        }


@pytest.fixture
def world(tmp_path):
    flows = {
        "people": {"from": "hr/people", "to": "social/people"},
        "groups": {"from": "hr/groups", "to": "social/groups"},
    }
    made = Nested(tmp_path, count=3, flows=flows)
    made.apply("people")
    yield made
    made.bridge.close()


def test_members_may_be_people_and_groups_in_any_order(world):
    world.put_group("a-all", "b-team", "u0000")
    world.put_group("b-team", "u0001", "u0002")
    assert world.apply("groups").state == "done"
    assert world.members() == {
        "a-all": ["b-team", "u0000"],
        "b-team": ["u0001", "u0002"],
    }
    assert world.bridge.plan("groups").empty


def test_a_member_group_that_appears_later_is_filled_in(world):
    world.put_group("all", "u0000", "late")
    world.apply("groups")
    assert world.members() == {"all": ["u0000"]}
    world.put_group("late", "u0001")
    world.bridge.run("groups")
    assert world.members() == {"all": ["late", "u0000"], "late": ["u0001"]}


def test_a_member_person_that_appears_later_is_filled_in(world):
    world.put_group("all", "u0007")
    world.apply("groups")
    world.put(7)
    world.bridge.run("people")
    world.bridge.run("groups")
    assert world.members() == {"all": ["u0007"]}
