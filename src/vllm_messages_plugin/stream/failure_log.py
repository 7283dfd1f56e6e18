"""Logs internal errors once, with their traceback and the request's id."""

import logging

from vllm_messages_plugin.wire.errors import MessagesError

log = logging.getLogger("vllm.messages")


def log_api_error(error: MessagesError, request_id: str) -> None:
    """Log an `api_error` with the exception that caused it, unless it is in the log already.

    Errors of other types are the client's or the operator's and are not logged.
    """
    if error.kind != "api_error" or error.logged:
        return
    error.logged = True
    log.error("Request %s failed: %s", request_id, error.message, exc_info=error)
