"""Every error as an RFC 9457 problem document, whatever raised it and in whatever mode Flask runs."""

import json
import logging
import math
from typing import Any

from flask import Flask, Response, g
from flask_restful import Api
from gunicorn.http.errors import ParseException
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from cost.ledger import LedgerUnavailable
from gateway import errors
from gateway.errors import GatewayError
from gateway.reads import ReadTimedOut
from gateway.wire.request import image_error
from providers.images import ImageError

log = logging.getLogger(__name__)

EXPLAINED = "/docs/errors"
"""The page that explains every code, each at the anchor of its name."""

_BY_STATUS = {400: errors.InvalidImage, 404: errors.NotFound, 405: errors.MethodNotAllowed, 413: errors.ImageTooLarge}


class ProblemApi(Api):
    """Flask-RESTful with one way out for errors: TESTING, DEBUG, PROPAGATE_EXCEPTIONS and production answer alike."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app, catch_all_404s=True)
        app.register_error_handler(Exception, problem_response)  # for routes that are not resources
        app.config["PROPAGATE_EXCEPTIONS"] = False

    def handle_error(self, e: Exception) -> Response:
        """Flask-RESTful's hook for what a resource raises."""
        return problem_response(e)


def problem_response(error: Exception) -> Response:
    """The problem document of any exception. What we did not foresee is a 500 without a word about its inside."""
    problem = as_gateway_error(error)
    document = problem_document(problem, g.get("request_id", ""))
    g.facts = {**g.get("facts", {}), "code": problem.code}
    response = Response(json.dumps(document, ensure_ascii=False), problem.status, mimetype="application/problem+json")
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
    if isinstance(problem, errors.Unauthenticated):
        response.headers["WWW-Authenticate"] = 'Bearer realm="vision-gateway"'
    if isinstance(error, HTTPException) and (allow := dict(error.get_headers()).get("Allow")):
        response.headers["Allow"] = allow
    return response


def problem_document(problem: GatewayError, request_id: str) -> dict[str, Any]:
    """RFC 9457, as JSON types."""
    return {
        "type": f"{EXPLAINED}#{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "request_id": request_id,
        **problem.members,
    }


def as_gateway_error(error: Exception) -> GatewayError:
    """Any exception in our own words."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, ImageError):
        return image_error(error)
    if isinstance(error, HTTPException):
        known = _BY_STATUS.get(error.code or 500)
        if known is not None:
            return known(_said(error) or known.title)
    if isinstance(error, ParseException):  # where a form is read by Flask
        return errors.InvalidParameter("body", "The body broke off, or its chunks are not what RFC 9112, section 7.1, says. Send it again.")
    if isinstance(error, SQLAlchemyError | LedgerUnavailable | ReadTimedOut):
        log.error("database.unavailable", extra={"error": str(error.__cause__ or error)})
        return errors.LedgerUnavailable("The database can't be used right now.", retry_after_s=5)
    log.error("request.failed", exc_info=error)
    return errors.InternalError("Something went wrong in the gateway. It is logged under this request_id.")


def _said(error: HTTPException) -> str | None:
    """What Werkzeug says of an address, in words that lead further."""
    if isinstance(error, MethodNotAllowed):
        return f"Here is only: {', '.join(sorted(set(error.valid_methods or ()) - {'HEAD', 'OPTIONS'}))}. See /docs."
    if isinstance(error, NotFound) and error.description == NotFound.description:
        return "There is nothing at this address. All addresses are at /docs."
    return error.description
