"""Claude Code's WebSearch against the live server: one search, whose evidence reaches its model."""

import json
from pathlib import Path

from clients import claude_code
from clients.play import call
from support.search_services import PAGES, SearchServices
from support.server import Server


def test_a_web_search_is_made_once_and_its_evidence_is_read(
    server: Server, services: SearchServices, tmp_path: Path
) -> None:
    place = tmp_path / "work"
    place.mkdir()
    services.asked.clear()
    rules = [
        {"when": "Web search results for query.*Run pip install", "say": "It is installed by pip."},
        {"when": "Look up how", "say": call("WebSearch", query="vllm messages plugin install")},
    ]
    with server.playbook(rules):
        run = claude_code.ask(server, place, "Look up how it is installed.", "--allowedTools", "WebSearch")
    assert run.status == 0, run
    assert run.result["result"] == "It is installed by pip."
    assert services.queries == ["vllm messages plugin install"]
    results = [
        block
        for event in run.events
        if event["type"] == "user"
        for block in event["message"]["content"]
        if isinstance(block, dict) and block.get("type") == "tool_result"
    ]
    text = json.dumps(results)
    assert all(page["url"] in text and page["text"] in text for page in PAGES), text
