"""Runs as months of nightly benchmarks would leave them: three engines, two machines, a regression, noise."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import replace

from runinference.metrics.history import Run
from runinference.metrics.measurement import RunInfo
from runinference.metrics.measures import Measure
from runinference.report.website import Case

FIRST_NIGHT = 1_767_237_000.0  # 2026-01-01 03:10 UTC
DAY_S = 86_400.0
SMALL_MACHINE = ("runner-1", "AMD EPYC 7B13", 2, 8_335_110_144)
LARGE_MACHINE = ("bench-large", "Intel(R) Xeon(R) Platinum 8481C @ 2.70GHz", 16, 134_217_728_000)
SECONDS = {"embedded": 41.0, "beam": 52.0, "beam-original": 96.0}

CASES = [
    Case(
        "pytorch-image-classification",
        "Image classification, PyTorch",
        "Classifies JPEG files with a ResNet.\n\nPhotos are decoded, cut to 224 × 224 and scaled by `PhotoHandler`.",
    ),
    Case(
        "sklearn-table",
        "Table, scikit-learn",
        "Classifies rows of 64 float32, each an array of its own.\n\n- `logistic-regression` costs next to nothing\n"
        "- `random-forest` has 50 trees",
    ),
    Case(
        "open-loop-latency",
        "Latency at a given load",
        "Rows come at fixed times, whether or not the ones before are done.",
        measures=[
            Measure("highest_throughput", "elements/s", "highest throughput", "Where the queue still ends.", "higher"),
            *(
                Measure(f"latency_p{p}_ms_at_{load}_percent", "ms", f"p{p} at {load} %", f"At {load} % of the highest.")
                for p in (50, 99)
                for load in (30, 50, 70, 90)
            ),
        ],
    ),
    Case("vllm-completions", "Text generation, vLLM", "Generates text.", missing="it needs a GPU with 16 GB"),
    Case("pytorch-language-modeling", "Language modelling, BERT", "Fills in a masked word. With `bert-base-uncased`."),
]


def run_of(
    name="sklearn-table",
    engine="embedded",
    night=0,
    seconds=(40.0, 41.0, 42.0),
    *,
    session=None,
    work=None,
    machine=SMALL_MACHINE,
    **fields,
):
    """One run with so many seconds for each pass."""
    samples = fields.pop("samples", None)
    if samples is None:
        samples = {"JobRuntimeSeconds": list(seconds), "AvgThroughputElements": [1000 / each for each in seconds]}
    host, processor, cores, memory = machine
    session = session or f"{name}-{night}-{host}"
    info = RunInfo(
        name,
        test_id=hashlib.md5(f"{session}-{engine}-{work}".encode()).hexdigest(),
        started=FIRST_NIGHT + night * DAY_S,
        engine=engine,
        host=host,
        processor=processor,
        cores=cores,
        memory_bytes=memory,
        versions={"python": "3.12.4", "runinference": "0.1.0", "torch": "2.5.0"},
        commit=hashlib.sha1(str(night // 3).encode()).hexdigest(),
        options={"work": work or {"model": "default", "examples": 1000, "device": "cpu"}, "session": session},
    )
    return Run(replace(info, **fields), samples, {"batch_size_reason": "throughput stopped growing"})


def nightly(
    name,
    nights,
    *,
    machine=SMALL_MACHINE,
    model="resnet50",
    speed=1.0,
    steps=None,
    noise=0.02,
    rng=None,
    gaps=0.03,
    extra=lambda rng, seconds: {},
) -> Iterator[Run]:
    """A run of each engine for each night.

    Args:
        steps: For an engine a list of nights with what the run time is multiplied with from then on.
        gaps: The share of nights on which nothing ran.
    """
    rng = rng or random.Random(f"{name} {machine[0]} {model}")
    examples = 50_000
    for night in range(nights):
        if rng.random() < gaps:
            continue
        whole_machine = rng.gauss(0, noise / 2)
        for place, (engine, usual) in enumerate(SECONDS.items()):
            factor = speed * (1.3 if rng.random() < 0.02 else 1.0)
            for start, times in (steps or {}).get(engine, []):
                factor *= times if night >= start else 1.0
            level = usual * factor * (1 + whole_machine + rng.gauss(0, noise))
            passes = [level * (1 + abs(rng.gauss(0, noise / 2))) for _ in range(5)]
            run = run_of(
                name,
                engine,
                night,
                machine=machine,
                work={"model": model, "examples": examples, "device": "cpu"},
                session=f"{name}-{night}-{machine[0]}-{model}",
                samples=_samples(rng, engine, passes, examples) | extra(rng, passes),
            )
            info = run.info
            versions = dict(info.versions) | {"runinference": "0.1.0" if night < nights * 0.6 else "0.2.0"}
            if night >= nights // 2:
                versions["torch"] = "2.6.0"
            if engine != "embedded":
                versions["apache-beam"] = "2.77.0"
            yield replace(run, info=replace(info, started=info.started + 300 * place, versions=versions))


def _samples(rng, engine, passes, examples):
    def around(middle, noise=0.03):
        return [middle * (1 + rng.gauss(0, noise)) for _ in passes]

    ours = engine != "beam-original"
    batch = 64.0 if ours else 10.0
    latency = 1e6 * batch * 0.9 * sum(passes) / len(passes) / examples
    cost = [0.07 * each / 3600 for each in passes]
    samples = {
        "JobRuntimeSeconds": passes,
        "AvgThroughputElements": [examples / each for each in passes],
        "AvgThroughputBytes": [examples * 110_000 / each for each in passes],
        "EstimatedCost": cost,
        "estimated_cost_per_million": [each / examples * 1e6 for each in cost],
        "throughput_after_load": [examples / (each - 2.0) for each in passes],
        "peak_memory_bytes": around(9.2e8 if ours else 1.6e9, 0.005),
        "cpu_utilization": [min(1.0, each) for each in around(0.94 if ours else 0.71, 0.01)],
        "peak_share": around(0.62 * 41 / max(41.0, passes[0]), 0.01),
        "answers_equal": [1.0] * len(passes),
        "failed_elements": [0.0] * len(passes),
        "load_model_latency_milli_secs_MEAN": around(310.0 if ours else 900.0, 0.06),
        "inference_request_batch_size_MEAN": [batch] * len(passes),
        "inference_batch_latency_micro_secs_COUNT": [examples / batch] * len(passes),
        "num_inferences": [float(examples)] * len(passes),
    }
    for key, times in (("MEAN", 1.0), ("P50", 0.97), ("P95", 1.4), ("P99", 2.1)):
        samples[f"inference_batch_latency_micro_secs_{key}"] = around(latency * times)
    if ours:
        samples["padding_efficiency"] = around(0.93, 0.002)
        samples["batch_fill_ratio_MEAN"] = around(0.99, 0.001)
    return samples


def _load_curve(rng, passes):
    speed = 50_000 / passes[0]
    found = {"highest_throughput": [speed * (1 + rng.gauss(0, 0.02)) for _ in passes]}
    for load in (30, 50, 70, 90):
        found[f"offered_rate_at_{load}_percent"] = [speed * load / 100] * len(passes)
    for percentile, times in ((50, 1.0), (99, 3.2)):
        for load in (30, 50, 70, 90):
            middle = 4.0 * times * passes[0] / 41 / (1 - load / 100)
            name = f"latency_p{percentile}_ms_at_{load}_percent"
            found[name] = [middle * (1 + rng.gauss(0, 0.05)) for _ in passes]
    return found


def months_of_runs(nights=150) -> list[Run]:
    """Half a year of several benchmarks on two machines, with what else is in a database."""
    half = nights // 2
    runs = [
        *nightly(
            "pytorch-image-classification",
            nights,
            steps={"embedded": [(half, 1.12), (nights - 20, 0.8)], "beam": [(half, 1.1)]},
        ),
        *nightly("pytorch-image-classification", nights, machine=LARGE_MACHINE, speed=0.17),
        *nightly("pytorch-image-classification", nights // 3, model="resnet101", speed=1.8),
        *nightly("sklearn-table", nights, model="logistic-regression", speed=0.05, noise=0.03),
        *nightly("open-loop-latency", 12, model="distilbert", speed=0.4, extra=_load_curve),
    ]
    killed = run_of(night=nights - 2, session="killed", state="running", samples={})
    failed = run_of(night=nights - 1, session="failed", engine="beam", state="failed", samples={})
    other = run_of("rent.joblib over flats.csv", night=3, session="other", options={"key": "id"})
    return [*runs, killed, failed, other]


def write_results(path, runs) -> None:
    """The file that `runinference bench run --output` would leave."""
    path.write_text(json.dumps({"machine": {}, "runs": [run.to_dict() for run in runs]}), "utf-8")
