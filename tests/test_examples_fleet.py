"""The Grafana dashboard, the alerts and the manifests name only metrics and labels that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from vllm_messages_plugin.access.metrics import Metrics

EXAMPLES = Path(__file__).parent.parent / "examples"
DASHBOARD: dict[str, Any] = json.loads((EXAMPLES / "grafana/dashboard.json").read_text(encoding="utf-8"))
RULES: dict[str, Any] = yaml.safe_load((EXAMPLES / "grafana/alerts.yaml").read_text(encoding="utf-8"))
# vLLM's own metrics in the examples, with their labels.
VLLM = {
    "vllm:num_requests_running": {"engine", "model_name"},
    "vllm:num_requests_waiting": {"engine", "model_name"},
    "vllm:kv_cache_usage_perc": {"engine", "model_name"},
}
METRIC = re.compile(r"(vllm[_:]\w+)(?:\{([^}]*)\})?")


def known() -> dict[str, set[str]]:
    """Every sample name, with the labels that it may have."""
    found = dict(VLLM)
    for metric in vars(Metrics(CollectorRegistry())).values():
        suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
        for suffix in suffixes[metric._type]:
            found[metric._name + suffix] = {*metric._labelnames} | ({"le"} if suffix == "_bucket" else set())
    return found


def queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (rule["expr"] for group in RULES["groups"] for rule in group["rules"])


@pytest.mark.parametrize("query", list(queries()))
def test_every_metric_and_label_of_a_query_exists(query: str) -> None:
    metrics = known()
    used = METRIC.findall(query)
    assert used
    for name, selector in used:
        assert name in metrics
        assert set(re.findall(r"(\w+)=", selector)) <= metrics[name]
    grouped = {
        label.strip() for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(",")
    }
    assert grouped <= set.intersection(*(metrics[name] for name, _ in used))
    assert query.count("(") == query.count(")")


def test_the_dashboard_shows_every_metric_of_the_plugin() -> None:
    text = " ".join(queries())
    names = {
        re.sub(r"_(bucket|sum|count)$", "", name) for name in known() if name.startswith("vllm_messages_")
    }
    assert {name for name in names if name not in text} == set()


def test_panels_have_what_grafana_needs_and_do_not_overlap() -> None:
    places = set()
    for panel in DASHBOARD["panels"]:
        assert panel["type"] == "timeseries"
        assert panel["datasource"]["uid"] == "${datasource}"
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        places.add((place["x"], place["y"]))
    assert len(places) == len(DASHBOARD["panels"])
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert {"title", "uid", "schemaVersion", "templating", "time"} <= DASHBOARD.keys()


def test_an_alert_says_what_is_wrong_and_for_how_long() -> None:
    for rule in RULES["groups"][0]["rules"]:
        assert {"alert", "expr", "for", "labels", "annotations"} <= rule.keys()


@pytest.mark.parametrize("path", ["kubernetes/fleet.yaml", "kubernetes/batches.yaml", "fleet/envoy.yaml"])
def test_manifests_are_valid_yaml(path: str) -> None:
    documents = list(yaml.safe_load_all((EXAMPLES / path).read_text(encoding="utf-8")))
    assert all(isinstance(document, dict) for document in documents)
