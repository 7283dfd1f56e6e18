"""`GET /v1/models` and `/v1/models/{id}`, read by Anthropic's SDK and OpenAI's alike; `HEAD` probes."""

from typing import Any

from fastapi import APIRouter, Request, Response

from vllm_messages_plugin.http.errors import error_response
from vllm_messages_plugin.http.headers import request_id_of
from vllm_messages_plugin.http.ports import AppContext, app_context
from vllm_messages_plugin.http.reading import served_name
from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.resources import model_info, model_page
from vllm_messages_plugin.wire.sse import dump

MOST = 1000  # models on a page

router = APIRouter()


@router.get("/v1/models", response_model=None)
async def list_models(request: Request) -> Response:
    """A page of the served models; all of them where no limit is given."""
    try:
        found = _page(await _infos(app_context(request)), request.query_params)
    except MessagesError as error:
        return error_response(error, request_id_of(request))
    return _json(found, request)


@router.get("/v1/models/{model_id:path}", response_model=None)
async def retrieve_model(model_id: str, request: Request) -> Response:
    """One served model, by its name or an alias."""
    service = app_context(request)
    try:
        name = await served_name(model_id, service)
    except MessagesError as error:
        return error_response(error, request_id_of(request))
    return _json(next(info for info in await _infos(service) if info["id"] == name), request)


@router.head("/", response_model=None)
@router.head("/api/hello", response_model=None)
async def probe() -> Response:
    """Claude Code warms its connection up with this."""
    return Response()


async def _infos(service: AppContext) -> list[dict[str, Any]]:
    return [model_info(model, permission) for model, permission in await service.backend.models.cards()]


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


def _limit(asked: str | None) -> int:
    if asked is None:
        return MOST
    if not asked.isdecimal() or not 1 <= int(asked) <= MOST:
        raise invalid(f"Input should be a whole number from 1 to {MOST}", "limit")
    return int(asked)


def _json(value: Any, request: Request) -> Response:
    return Response(
        dump(value), media_type="application/json", headers={"request-id": request_id_of(request)}
    )
