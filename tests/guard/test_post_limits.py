import pytest

from guard.counting import RULES, CountingMemory, adding, context, plan
from moatbridge.guard import LiveWindow, counted, judge_plan, post_keys, window_counts


def test_posts_beyond_a_run_or_a_day_are_held():
    memory = CountingMemory()
    sent = []
    for run in range(7):
        window = LiveWindow(
            RULES, context(memory), links=lambda _most: 10, only={"posts"}
        )
        keys = post_keys("social", run)
        verdicts = [window.judge("create", posts=keys) for _ in range(25)]
        sent.append(sum(each.decision == "allow" for each in verdicts))
        assert {r for v in verdicts if v.decision == "hold" for r in v.reasons} == {
            "limit"
        }
        assert window.judge("update", posts=keys).decision == "allow"
        memory.add(window.counts())
    assert sent == [20, 20, 20, 20, 20, 0, 0]
    memory.now += 86_401
    window = LiveWindow(RULES, context(memory), links=lambda _most: 10, only={"posts"})
    assert window.judge("create", posts=post_keys("social")).decision == "allow"


def test_another_target_has_a_day_of_its_own():
    memory = CountingMemory()
    memory.add([("posts", "social", 100)])
    window = LiveWindow(RULES, context(memory), links=lambda _most: 10)
    assert window.judge("create", posts=post_keys("social")).decision == "hold"
    assert window.judge("create", posts=post_keys("chat")).decision == "allow"


def test_a_flood_raises_one_alert():
    window = LiveWindow(RULES, context(), links=lambda _most: 10)
    for _ in range(10_000):
        window.judge("create", posts=post_keys("social"))
    assert window.alerts == (("posts", "social"),)
    assert {(r, k): n for r, k, n in window.counts()}["posts", "social"] == 100


def test_only_new_posts_are_counted():
    keys = post_keys("social", 3)
    assert list(counted("create", posts=keys)) == [*keys, ("creates", "")]
    assert list(counted("update", posts=keys)) == [("updates", "")]
    assert window_counts(keys) == (("posts", "run:3", 1), ("posts", "social", 1))


@pytest.mark.parametrize(
    ("count", "earlier", "fine"),
    [(20, 0, True), (21, 0, False), (20, 80, True), (20, 81, False), (0, 500, True)],
)
def test_a_plan_never_holds_more_posts_than_may_leave(count, earlier, fine):
    memory = CountingMemory()
    memory.add([("posts", "social", earlier)])
    summary = adding(plan(entity_type="Post"), "create", count)
    verdict = judge_plan(summary, RULES, context(memory))
    found = [each for each in verdict.findings if each.rule == "posts"]
    assert (found == []) is fine
    if not fine:
        assert found[0].nearest_pass == max(0, min(20, 100 - earlier))
        assert f"{count} posts" in found[0].sentence


def test_people_are_no_posts():
    summary = adding(plan(), "create", 400)
    assert "posts" not in {
        f.rule for f in judge_plan(summary, RULES, context()).findings
    }


def test_counts_of_a_part_are_added_up():
    one, other = plan(entity_type="Post", external=1), plan(external=2)
    one.merge(other)
    assert one.external == 3
    assert type(one).from_dict(one.to_dict()).external == 3


def test_the_plan_says_that_attachments_are_not_inspected():
    summary = adding(plan(entity_type="Post", attachments=3), "create", 2)
    verdict = judge_plan(summary, RULES, context())
    [said] = [each for each in verdict.findings if each.rule == "attachments"]
    assert (verdict.decision, said.decision, said.seen) == ("pass", "pass", 3)
    assert "not inspected" in said.sentence
