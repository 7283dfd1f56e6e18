"""`POST /v1/messages/count_tokens`: the prompt is rendered as for a reply, and counted."""

from typing import Any

from fastapi import APIRouter, Request, Response

from vllm_messages_plugin.http.errors import error_response
from vllm_messages_plugin.http.headers import request_id_of
from vllm_messages_plugin.http.ports import app_context
from vllm_messages_plugin.http.reading import read
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.request import CountTokensRequest
from vllm_messages_plugin.wire.sse import dump

router = APIRouter()


@router.post("/v1/messages/count_tokens", response_model=None)
async def count_tokens(request: Request) -> Response:
    """The number of input tokens the same body would cost as a message; above the window too."""
    request_id = request_id_of(request)
    try:
        understood = await read(request, app_context(request), CountTokensRequest)
    except MessagesError as error:
        return error_response(error, request_id)
    counted: dict[str, Any] = {"input_tokens": understood.prompt.tokens}
    if understood.applied_edits is not None:
        counted["context_management"] = {"original_input_tokens": understood.original_tokens}
    return Response(dump(counted), media_type="application/json", headers={"request-id": request_id})
