"""Ways a distributor can fail, as replies for `server.fail` and `server.always`."""

from __future__ import annotations

from typing import Any

from fakes.server import Reply


def slow(seconds: float, body: Any = b"") -> Reply:
    return Reply(body, delay_s=seconds)


def hang() -> Reply:
    return Reply(hangs=True)


def drop() -> Reply:
    return Reply(drops=True)


def trouble(status: int = 500, *, retry_after: str | None = None) -> Reply:
    return Reply("<h1>Oh no</h1>", status, _retry(retry_after))


def unauthorised(body: Any = None) -> Reply:
    return Reply(body or {"title": "Unauthorized", "status": 401, "detail": "Bearer is stale"}, 401)


def not_allowed() -> Reply:
    """403: the key may not do this."""
    return Reply({"title": "Forbidden", "status": 403, "detail": "Key not authorized here"}, 403)


def not_served() -> Reply:
    """403: the address it came from is not served."""
    return Reply("<html><h1>Access denied for your country</h1></html>", 403)


def too_many(*, retry_after: str | None = None, body: Any = None) -> Reply:
    return Reply(body or {"message": "slow down"}, 429, _retry(retry_after))


def digikey_burst(*, retry_after: str = "30") -> Reply:
    headers = {"X-BurstLimit-Limit": "120", "X-BurstLimit-Remaining": "0", **_retry(retry_after)}
    told = {
        "ErrorResponseVersion": "3.0.0.0",
        "StatusCode": 429,
        "ErrorMessage": "BurstLimit exceeded",
        "ErrorDetails": "Come back later",
        "RequestId": "1",
        "ValidationErrors": [],
    }
    return Reply(told, 429, headers)


def digikey_daily(*, retry_after: str = "20000") -> Reply:
    headers = {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "0", **_retry(retry_after)}
    return Reply({"StatusCode": 429, "ErrorMessage": "Daily Ratelimit exceeded"}, 429, headers)


def mouser_minute() -> Reply:
    """Mouser's way to say 429."""
    error = {"Code": "TooManyRequests", "Message": "Maximum calls per minute exceeded."}
    return Reply({"Errors": [error], "SearchResults": None}, 403)


def mouser_bad_key(echo: str = "") -> Reply:
    error = {
        "Id": 0,
        "Code": "Invalid",
        "Message": f"The identifier {echo} is not valid.",
        "ResourceKey": "InvalidIdentifier",
        "PropertyName": "API Key",
    }
    return Reply({"Errors": [error], "SearchResults": None})


def mouser_refusal(message: str = "Something went wrong.") -> Reply:
    return Reply({"Errors": [{"Code": "Other", "Message": message}], "SearchResults": None})


def farnell_over_qps(*, retry_after: str | None = None) -> Reply:
    headers = {"X-Mashery-Error-Code": "ERR_403_DEVELOPER_OVER_QPS", **_retry(retry_after)}
    return Reply("<h1>Developer Over Qps</h1>", 403, headers)


def farnell_over_rate() -> Reply:
    return Reply(
        "<h1>Developer Over Rate</h1>", 403, {"X-Mashery-Error-Code": "ERR_403_DEVELOPER_OVER_RATE"}
    )


def farnell_bad_key() -> Reply:
    return Reply(
        "<h1>Developer Inactive</h1>", 403, {"X-Mashery-Error-Code": "ERR_403_DEVELOPER_INACTIVE"}
    )


def farnell_fault(message: str) -> Reply:
    return Reply({"Fault": {"faultstring": message}})


def malformed() -> Reply:
    return Reply(b'{"Products": [', headers={"Content-Type": "application/json"})


def truncated() -> Reply:
    return Reply({"Products": ["x" * 1000]}, sent=100)


def huge(megabytes: int = 9) -> Reply:
    return Reply(b" " * (megabytes * 2**20))


def not_gzip() -> Reply:
    return Reply(b"not packed at all", headers={"Content-Encoding": "gzip"})


def elsewhere(url: str) -> Reply:
    return Reply("moved", 302, {"Location": url})


def another_shape() -> Reply:
    return Reply({"hello": "there"})


def _retry(after: str | None) -> dict[str, str]:
    return {} if after is None else {"Retry-After": after}
