"""What a platform's answers say about its quota reaches the core."""

from __future__ import annotations

import pytest

from moatbridge.http import HttpClient, HttpConfig
from moatbridge.testing import RecordingNet, net
from servers.scripted_http import Answer, ScriptedHttp


class Listening(RecordingNet):
    def __init__(self, inner):
        super().__init__(inner)
        self.told, self.requests = [], 0

    def quota(self, **told):
        self.told.append(told)

    def asked(self):
        self.requests += 1


@pytest.fixture
def talk():
    """Answers of a peer with these headers -> what the core was told."""

    def run(*answers):
        left = list(answers)
        with ScriptedHttp(lambda _asked: left.pop(0)) as peer:
            heard = Listening(net([("127.0.0.1", peer.port)]))
            config = HttpConfig(base_url=peer.base_url, insecure_cleartext=True)
            with HttpClient(heard, config) as client:
                for _ in answers:
                    client.request("GET", "/Users")
            heard.forget()
        return heard

    return run


def test_what_is_left_is_reported_with_every_answer_7(talk):
    heard = talk(
        Answer(200, {}, {"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "60"}),
        Answer(200, {}, {"RateLimit": "limit=10, remaining=0, reset=30"}),
        Answer(200, {}),
    )
    assert heard.told == [
        {"remaining": 3, "reset": 60},
        {"remaining": 0, "reset": 30},
    ]
    assert heard.requests == 3


def test_a_refusal_is_told_by_its_error_and_not_twice_7(talk):
    heard = talk(Answer(429, {}, {"Retry-After": "30"}))
    assert heard.told == []
