"""Errors in the shape of OpenAI's API."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.responses import JSONResponse

TYPES = {401: "authentication_error", 404: "not_found_error", 408: "timeout_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """An answer that is an error: HTTP status, message, and OpenAI's code for it."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param

    def body(self) -> dict[str, object]:
        kind = TYPES.get(self.status) or ("invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        return JSONResponse(self.body(), self.status, headers={"Retry-After": "1"} if self.status == 503 else None)


def bad_body(error: ValidationError) -> ApiError:
    """The first mistake in a body; never quotes the body."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return ApiError(400, f"{where}: {first['msg']}" if where else first["msg"], "invalid_request", where or None)
