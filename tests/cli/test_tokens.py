"""Tokens made by hand, read by the library the gateway reads them with."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from cli.tokens import mint
from tests.cli.runner import invoke

SECRET = "a-secret-of-at-least-thirty-two-bytes"


def test_a_minted_token_says_who_until_when() -> None:
    claims = jwt.decode(
        mint(SECRET, user="zoë", role="admin", lives=timedelta(hours=1)),
        SECRET,
        algorithms=["HS256"],
        options={"require": ["exp", "sub", "iat"]},
    )
    assert claims["sub"] == "zoë"
    assert claims["role"] == "admin"
    ends_at = datetime.fromtimestamp(claims["exp"], UTC)
    assert abs(ends_at - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)


def test_another_secret_does_not_open_it() -> None:
    token = mint(SECRET, user="a", role="user", lives=timedelta(hours=1))
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, SECRET[::-1], algorithms=["HS256"])


def test_the_command_mints_with_the_secret_of_the_environment() -> None:
    result = invoke("token", "--user", "ann", PERDURE_JWT_SECRET=SECRET)
    assert result.returncode == 0
    claims = jwt.decode(result.stdout.strip(), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["role"]) == ("ann", "user")


def test_without_any_secret_the_command_says_where_one_comes_from(tmp_path: Path) -> None:
    result = invoke("token", PERDURE_HOME=str(tmp_path))
    assert result.returncode == 2
    assert "perdure up" in result.stderr
    assert "PERDURE_JWT_SECRET" in result.stderr
