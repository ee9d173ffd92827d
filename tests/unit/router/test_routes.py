"""routes.json: what is read, what is refused and with which words."""

from __future__ import annotations

import json

import pytest
from gemma_router.routes import Route, RoutesInvalid, aliases, fallbacks, parse_routes


def test_routes_are_read_and_sorted() -> None:
    text = json.dumps(
        {
            "deployments": [
                {"name": "code", "future": {"field": 1}},
                {
                    "name": "chat",
                    "aliases": ["gpt-4o-mini"],
                    "maxNumSeqs": 32,
                    "contextTokens": 8192,
                    "fallbacks": ["code"],
                    "holdTimeoutSeconds": 120,
                    "startupSeconds": 45.5,
                },
                {"name": "off", "holdTimeoutSeconds": 0, "switchedOff": True},
            ]
        }
    )
    assert parse_routes(text) == (
        Route("chat", ("gpt-4o-mini",), 32, 8192, ("code",), 120.0, 45.5),
        Route("code"),
        Route("off", hold_seconds=0.0, switched_off=True),
    )


def test_no_deployment_is_a_valid_answer() -> None:
    assert parse_routes('{"deployments": []}') == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", '"deployments"'),
        ('{"deployments": {}}', '"deployments"'),
        ('{"deployments": [1]}', r"deployments\[0\] must be an object"),
        ('{"deployments": [{"name": "a"}, {"name": ""}]}', r"deployments\[1\].name"),
        ('{"deployments": [{"name": "a", "aliases": "b"}]}', r"deployments\[0\].aliases"),
        ('{"deployments": [{"name": "a", "aliases": [1]}]}', r"deployments\[0\].aliases"),
        ('{"deployments": [{"name": "a", "contextTokens": 0}]}', r"deployments\[0\].contextTokens"),
        ('{"deployments": [{"name": "a", "maxNumSeqs": true}]}', r"deployments\[0\].maxNumSeqs"),
        ('{"deployments": [{"name": "a", "holdTimeoutSeconds": -1}]}', r"deployments\[0\].holdTimeoutSeconds"),
        ('{"deployments": [{"name": "a", "startupSeconds": "soon"}]}', r"deployments\[0\].startupSeconds"),
        (
            '{"deployments": [{"name": "a", "switchedOff": "no"}]}',
            r"deployments\[0\].switchedOff must be true or false",
        ),
        ('{"deployments": [{"name": "a"}, {"name": "a"}]}', "'a' appears twice"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(RoutesInvalid, match=message):
        parse_routes(text)


def test_a_name_beats_an_alias_and_the_first_of_two_equal_aliases_wins() -> None:
    routes = (Route("chat", aliases=("code", "x")), Route("code", aliases=("x", "y")))
    assert aliases(routes) == {"x": "chat", "y": "code"}


def test_fallbacks_only_to_deployments_that_exist() -> None:
    routes = (Route("chat", fallbacks=("chat", "gone", "code")), Route("code", fallbacks=("gone",)))
    assert fallbacks(routes) == [{"chat": ["code"]}]
