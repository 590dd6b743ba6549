"""What a command line asks benchmarks to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from runinference.benchmarks.benchmark import Benchmark
from runinference.benchmarks.catalog import find_benchmark, find_benchmarks
from runinference.benchmarks.cost.pricing import Pricing
from runinference.benchmarks.options import Flags
from runinference.benchmarks.run import Request
from runinference.benchmarks.settings import Settings
from runinference.errors import ConfigurationError, closest


def split(arguments: Sequence[str], folders: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names, which come first or are known, and the flags with their values."""
    known = find_benchmarks(folders)
    first_flag = next((at for at, text in enumerate(arguments) if text.startswith("-")), len(arguments))
    names, rest = list(arguments[:first_flag]), list[str]()
    for text in arguments[first_flag:]:
        (names if text == "all" or text.partition(":")[0] in known else rest).append(text)
    return names, rest


def make_requests(names: Sequence[str], flags: Flags, options: Mapping[str, Any]) -> Iterator[Request]:
    """What to run.

    Args:
        names: Names of benchmarks, each with one of its models behind a colon or not; or `all`.
        flags: What flags of Beam's benchmarks say.
        options: Those of the command, by their parameters.

    Raises:
        ConfigurationError: Something is not there or cannot work.
    """
    if not names:
        raise ConfigurationError("Say which benchmark to run, or all; `runinference bench list` shows them")
    if "all" in names:
        if len(names) > 1:
            raise ConfigurationError("all is every benchmark; leave the other names out")
        # What needs a handler or data of the user's is none of the standard ones.
        names = [name for name, each in find_benchmarks(options["cases"]).items() if not each.missing and each.standard]
    for name in names:
        name, _, model = name.partition(":")
        benchmark = find_benchmark(name, options["cases"])
        if benchmark.missing is not None:
            raise ConfigurationError(f"{name} cannot run yet: {benchmark.missing}")
        yield _request(benchmark, model or flags.settings.get("model", ""), flags, options)


def _request(benchmark: type[Benchmark], model: str, flags: Flags, options: Mapping[str, Any]) -> Request:
    smoke = options["smoke"]
    settings = Settings(
        examples=options["examples"] or (benchmark.smoke_examples if smoke else benchmark.default_examples),
        model=_model(benchmark, model, smoke),
        handler_options=_handler_options(options["handler_options"]),
        pipeline_options=flags.pipeline_options,
    )
    given = {
        "weights": options["weights"],
        "input": options["input_"],
        "handler": options["handler"],
        "device": {"gpu": "cuda", None: None}.get(options["device"], options["device"]),
    }
    others = {name: value for name, value in flags.settings.items() if name != "model"}
    settings = replace(settings, **others | {name: value for name, value in given.items() if value is not None})
    elsewhere = bool(flags.pipeline_options)
    pricing = Pricing.of(options["machine_type"], options["gpu"], options["prices"], settings.device)
    return Request(
        benchmark,
        settings,
        engines=_engines(benchmark, options["engines"], elsewhere=elsewhere),
        # A job elsewhere takes minutes and costs money; its answers stay there, so that none are compared.
        repeat=options["repeat"] or (1 if smoke or elsewhere else 5),
        warm_up=not elsewhere,
        folders=options["cases"],
        machine=options["machine"],
        timeout_s=flags.timeout_s,
        # What other machines cost is known to those who run them.
        cost=_no_cost if elsewhere else pricing.cost,
        options={} if elsewhere else pricing.about(),
    )


def _no_cost(run_s: float) -> None:
    del run_s


def _model(benchmark: type[Benchmark], model: str, smoke: bool) -> str:
    if not model:
        return "tiny" if smoke and "tiny" in benchmark.models else benchmark.models[0]
    if model not in benchmark.models:
        raise ConfigurationError(
            f"{benchmark.name} has no model {model!r}.{closest(model, benchmark.models)} "
            f"It has {', '.join(benchmark.models)}"
        )
    return model


def _engines(benchmark: type[Benchmark], chosen: Sequence[str], *, elsewhere: bool) -> list[str]:
    if not chosen:
        return ["beam"] if elsewhere else [benchmark.engines[0]]
    if "all" in chosen:
        return list(benchmark.engines)
    for engine in chosen:
        if engine not in benchmark.engines:
            raise ConfigurationError(
                f"{benchmark.name} does not run on {engine!r}.{closest(engine, benchmark.engines)} "
                f"It runs on {', '.join(benchmark.engines)}"
            )
    return list(dict.fromkeys(chosen))


def _handler_options(texts: Sequence[str]) -> dict[str, Any]:
    """`precision=bf16`; a value that is JSON, such as a number or true, is taken as that."""
    options = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigurationError(f"--handler-option {text!r} is not of the form NAME=VALUE")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options
