"""router/guards/password.py, and where the application asks for it."""

import base64

import pytest

from router.guards.password import Password
from tests.router.conftest import OpenHouse

_SECRET = "open sesame please"


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    ("headers", "admitted"),
    [
        ([(b"authorization", basic(f"me:{_SECRET}"))], True),
        ([(b"authorization", basic(f"me:{_SECRET}").replace(b"Basic", b"basic"))], True),
        ([], False),
        ([(b"authorization", basic("me:wrong"))], False),
        ([(b"authorization", basic(_SECRET))], False),
        ([(b"authorization", b"Basic not base64")], False),
        ([(b"authorization", b"Bearer " + _SECRET.encode())], False),
        ([(b"authorization", basic(f"me:{_SECRET}"))] * 2, False),
        ([(b"authorization", basic("x" * 2000))], False),
    ],
)
def test_only_the_password_is_admitted(headers: list[tuple[bytes, bytes]], admitted: bool) -> None:  # noqa: FBT001
    assert Password(_SECRET).admits(headers) is admitted


async def test_the_dashboard_is_closed_to_others_until_it_has_a_password(open_house: OpenHouse) -> None:
    server, keys = {"host": "0.0.0.0"}, [{"tenant": "acme", "key": "k" * 32}]
    async with open_house(server=server, keys=keys) as house:
        for path in ("/dashboard", "/dashboard/live?span=1h", "/dashboard/static/dashboard.css"):
            answer = await house.client.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "dashboard_closed")
    async with open_house(server=server, keys=keys, dashboard={"password": _SECRET}) as house:
        asked = await house.client.get("/dashboard")
        shown = await house.client.get("/dashboard", auth=("me", _SECRET))
    assert asked.status_code == 401
    assert asked.headers["www-authenticate"].startswith("Basic")
    assert shown.status_code == 200


async def test_on_loopback_nobody_is_asked(open_house: OpenHouse) -> None:
    async with open_house() as house:
        assert (await house.client.get("/dashboard")).status_code == 200
