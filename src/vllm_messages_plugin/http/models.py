"""`GET /v1/models` and `/v1/models/{id}`, for Anthropic's SDK and OpenAI's alike, and the `HEAD` probes."""

from typing import Any

from fastapi import APIRouter, Request, Response

from vllm_messages_plugin.http.access_control import caller_of
from vllm_messages_plugin.http.headers import request_id_of
from vllm_messages_plugin.http.ports import AppContext, app_context
from vllm_messages_plugin.http.reading import served_model_name
from vllm_messages_plugin.http.routing import MessagesRoute
from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.resources import model_info, model_page
from vllm_messages_plugin.wire.sse import dump

MAX_PAGE_SIZE = 1000  # models

router = APIRouter(route_class=MessagesRoute)


@router.get("/v1/models", response_model=None)
async def list_models(request: Request) -> Response:
    """Return a page of the served models; all of them without a `limit`."""
    key = caller_of(request).key
    infos = await _model_infos(app_context(request))
    allowed = [info for info in infos if key is None or key.allows(info["id"])]
    return _json(_page(allowed, request.query_params), request)


@router.get("/v1/models/{model_id:path}", response_model=None)
async def retrieve_model(model_id: str, request: Request) -> Response:
    """Return one served model, by its name or an alias."""
    context = app_context(request)
    name = await served_model_name(model_id, context)
    key = caller_of(request).key
    if key is not None and not (key.allows(name) or key.allows(model_id)):
        raise MessagesError("not_found_error", f"model: {model_id}")
    return _json(next(info for info in await _model_infos(context) if info["id"] == name), request)


@router.head("/", response_model=None)
@router.head("/api/hello", response_model=None)
async def probe() -> Response:
    """Answer the probe with which Claude Code opens its connection."""
    return Response()


async def _model_infos(context: AppContext) -> list[dict[str, Any]]:
    server_tools = context.server_tools.families if context.server_tools else frozenset()
    cards = await context.backend.models.cards()
    batches = context.storage is not None
    return [model_info(model, permission, server_tools, batches=batches) for model, permission in cards]


def _page(models: list[dict[str, Any]], query: Any) -> dict[str, Any]:
    limit = _limit(query.get("limit"))
    ids = [model["id"] for model in models]
    if (after := query.get("after_id")) in ids:
        models = models[ids.index(after) + 1 :]
        return model_page(models[:limit], len(models) > limit)
    if (before := query.get("before_id")) in ids:
        models = models[: ids.index(before)]
        return model_page(models[-limit:], len(models) > limit)
    return model_page(models[:limit], len(models) > limit)


def _limit(requested: str | None) -> int:
    if requested is None:
        return MAX_PAGE_SIZE
    if (
        not requested.isdecimal()
        or len(requested) > len(str(MAX_PAGE_SIZE))
        or not 1 <= int(requested) <= MAX_PAGE_SIZE
    ):
        raise invalid(f"Input should be a whole number from 1 to {MAX_PAGE_SIZE}", "limit")
    return int(requested)


def _json(value: Any, request: Request) -> Response:
    return Response(
        dump(value), media_type="application/json", headers={"request-id": request_id_of(request)}
    )
