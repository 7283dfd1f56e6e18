"""docs/fleet.md lists every metric that the plugin has, with its labels."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from vllm_messages_plugin.access.metrics import Metrics

TEXT = (Path(__file__).parent.parent / "docs/fleet.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(vllm_messages_\w+)` \| ((?:`\w+`(?:, )?)+) \|", re.MULTILINE)


def test_the_page_lists_every_metric_with_its_labels() -> None:
    registry = CollectorRegistry()
    metrics = vars(Metrics(registry)).values()
    found = {
        metric._name + ("_total" if metric._type == "counter" else ""): set(metric._labelnames)
        for metric in metrics
    }
    assert {name: set(re.findall(r"\w+", labels)) for name, labels in ROW.findall(TEXT)} == found
