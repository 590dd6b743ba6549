"""The dashboards for Grafana are whole, and ask for nothing but what is published."""

import json
import re
from pathlib import Path

import pytest

from runinference.metrics import METRICS, Metrics
from runinference.metrics.prometheus import exported_name

pytestmark = pytest.mark.core

FOLDER = Path(__file__).resolve().parents[2] / "dashboards"
KINDS = ["influxdb", "prometheus"]
TOPICS = [
    "Rows per second",
    "Batch size",
    "Batch latency",
    "Queue wait",
    "Failed rows by stage",
    "Model load",
    "Padding",
]


def load(kind):
    return json.loads((FOLDER / f"grafana-{kind}.json").read_text("utf-8"))


def variables(board):
    return {each["name"]: each for each in board["templating"]["list"]}


def queries(board):
    """What panels and variables ask."""
    for panel in board["panels"]:
        yield from (target.get("query") or target["expr"] for target in panel["targets"])
    yield from (each["query"] for each in variables(board).values() if each["type"] == "query")


def in_influxdb():
    """Every name in the tag `metric`: those of a snapshot in which nothing is missing."""
    metrics = Metrics()
    for spec in METRICS.values():
        if spec.kind == "gauge":
            metrics.set(spec.name, "text" if spec.unit == "text" else 1)
        elif spec.kind == "distribution":
            metrics.observe(spec.name, 1)
    metrics.count("padded_tokens")
    return {name for name, value in metrics.snapshot().to_dict().items() if not isinstance(value, str)}


def in_prometheus():
    endings = {"counter": ["_total"], "distribution": ["", "_sum", "_count"], "gauge": [""]}
    return {
        exported_name(spec).name + ending
        for spec in METRICS.values()
        for ending in (["_info"] if spec.unit == "text" else endings[spec.kind])
    }


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_dashboard_with_all_that_there_should_be(kind):
    board = load(kind)
    assert board["schemaVersion"] >= 36
    assert board["uid"] == f"runinference-{kind}"
    titles = [panel["title"] for panel in board["panels"]]
    assert [topic for topic in TOPICS if not any(title.startswith(topic) for title in titles)] == []
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_panels_have_places_of_their_own_on_the_grid(kind):
    taken = set()
    for panel in load(kind)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        taken |= cells


@pytest.mark.parametrize("kind", KINDS)
def test_the_data_source_is_a_variable_that_everything_uses(kind):
    board = load(kind)
    assert (variables(board)["datasource"]["type"], variables(board)["datasource"]["query"]) == ("datasource", kind)
    panels, others = board["panels"], [each for each in variables(board).values() if each["type"] == "query"]
    users = [*panels, *(target for panel in panels for target in panel["targets"]), *others]
    assert all(each["datasource"] == {"type": kind, "uid": "${datasource}"} for each in users)


@pytest.mark.parametrize(("kind", "chosen"), [("influxdb", {"host", "run"}), ("prometheus", {"instance", "handler"})])
def test_every_panel_is_of_the_chosen_hosts_and_runs(kind, chosen):
    board = load(kind)
    assert chosen | {"datasource"} == set(variables(board))
    for panel in board["panels"]:
        for target in panel["targets"]:
            query = target.get("query") or target["expr"]
            assert chosen <= set(re.findall(r"\$(\w+)", query))
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_influxdb_is_asked_only_for_what_is_written():
    board = load("influxdb")
    assert all('FROM "runinference" ' in query for query in queries(board))
    asked = {name for query in queries(board) for name in re.findall(r"\"metric\" = '([^']+)'", query)}
    assert asked
    assert asked - in_influxdb() == set()


def test_prometheus_is_asked_only_for_what_is_served():
    asked = {name for query in queries(load("prometheus")) for name in re.findall(r"runinference_\w+", query)}
    assert asked
    assert asked - in_prometheus() == set()
