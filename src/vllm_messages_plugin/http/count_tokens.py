"""`POST /v1/messages/count_tokens`: renders the prompt as for a reply and returns its length."""

from typing import Any

from fastapi import APIRouter, Request, Response

from vllm_messages_plugin.http.headers import request_id_of
from vllm_messages_plugin.http.openapi import request_body
from vllm_messages_plugin.http.ports import app_context
from vllm_messages_plugin.http.reading import prepare
from vllm_messages_plugin.http.routing import DirectRoute
from vllm_messages_plugin.wire.request import CountTokensRequest
from vllm_messages_plugin.wire.sse import dump

router = APIRouter(route_class=DirectRoute)


PATH = "/v1/messages/count_tokens"


@router.post(PATH, response_model=None, openapi_extra=request_body(PATH, CountTokensRequest))
async def count_tokens(request: Request) -> Response:
    """Return the number of input tokens of a request, also where it exceeds the context window."""
    prepared = await prepare(request, app_context(request), CountTokensRequest)
    body: dict[str, Any] = {"input_tokens": prepared.prompt.tokens}
    if prepared.applied_edits is not None:
        body["context_management"] = {"original_input_tokens": prepared.original_tokens}
    return Response(dump(body), media_type="application/json", headers={"request-id": request_id_of(request)})
