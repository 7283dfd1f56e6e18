"""Converts vLLM's exceptions to errors of the Messages API."""

import traceback

from pydantic import ValidationError

from vllm_messages_plugin.wire.errors import ErrorKind, MessagesError, from_validation, internal_error

ENGINE_DEAD = "The inference engine has stopped; the server must be restarted."

# Exceptions by the name of their class, so that a class which a version lacks needs no lookup.
# The first row that names a class of the exception's MRO decides.
_KINDS: tuple[tuple[str, ErrorKind], ...] = (
    ("EngineDeadError", "api_error"),
    ("QueueOverflowError", "overloaded_error"),
    ("MaxQueuedTokensError", "overloaded_error"),
    ("RetryableRequestError", "overloaded_error"),
    ("VLLMNotFoundError", "not_found_error"),
    ("VLLMClientError", "invalid_request_error"),
    ("VLLMServerError", "api_error"),
    ("TemplateError", "invalid_request_error"),
    ("ValueError", "invalid_request_error"),
    ("TypeError", "invalid_request_error"),
    ("OverflowError", "invalid_request_error"),
)

RETRY_AFTER = 2  # seconds; the retry-after header of an overloaded server


def to_messages_error(error: Exception) -> MessagesError:
    """Convert an exception of vLLM's; the details of a server error stay in the log."""
    if isinstance(error, MessagesError):
        return error
    if isinstance(error, ValidationError) and error.errors()[0]["loc"]:
        return from_validation(error)
    classes = {cls.__name__ for cls in type(error).__mro__}
    if "EngineGenerateError" in classes and (refused := _refused_value(error)) is not None:
        return to_messages_error(refused)
    kind: ErrorKind = next((kind for name, kind in _KINDS if name in classes), "api_error")
    if "EngineDeadError" in classes:
        return internal_error(error, ENGINE_DEAD)
    if kind == "api_error":
        return internal_error(error)
    retry_after = RETRY_AFTER if kind == "overloaded_error" else None
    field = getattr(error, "parameter", None)
    if isinstance(field, str) and error.args:  # str() of such an error appends the field and its value
        return MessagesError(kind, str(error.args[0]), param=field, retry_after=retry_after)
    return MessagesError(kind, str(error) or type(error).__name__, retry_after=retry_after)


def _refused_value(error: Exception) -> ValueError | None:
    """The refusal of a request's value that vLLM wrapped as a failure of the engine; None for any other.

    Before 0.32 some checks of a request raise a plain ValueError, which the engine's client then wraps.
    """
    cause = error.__cause__
    if not isinstance(cause, ValueError):
        return None
    frames = (frame for frame, _ in traceback.walk_tb(cause.__traceback__))
    is_check = any(frame.f_code.co_name.lstrip("_").startswith("validate") for frame in frames)
    return cause if is_check else None
