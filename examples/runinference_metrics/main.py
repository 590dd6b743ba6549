"""Classifies sentences with `RunInference` and shows the metrics of the run.

    python main.py --mode local --device CPU --model tiny

runs on this machine, with a small model that is made on the spot. Without `--model` a DistilBERT that knows sentiments
is downloaded. `--mode cloud` runs on Dataflow, once `config.py` says in which project.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from itertools import cycle, groupby, islice
from pathlib import Path
from typing import Any

import apache_beam as beam
import config as cfg
import torch
from apache_beam.metrics import MetricsFilter
from pipeline.options import get_pipeline_options
from pipeline.transformations import (
    Model,
    NoModelError,
    PostProcessor,
    Tokenize,
    download,
    make_tiny_model,
    model_in_folder,
)
from transformers import DistilBertConfig, DistilBertForSequenceClassification
from transformers.utils import logging

from runinference import KeyedModelHandler, PytorchModelHandlerKeyedTensor
from runinference.beam import RunInference

SENTENCES = [
    "The soup was cold and the waiter colder.",
    "I laughed, I cried, and then I bought a ticket for the next night.",
    "Not bad.",
    "Two hours of my life that I would like to have back!",
    "Whoever wrote this has a heart, an ear for how people talk, and the good sense to stop when the story is over.",
    "It works as described; delivery took a week longer than it should have, but nobody made a secret of it.",
]
MODEL_HELP = "folder of a DistilBERT, or 'tiny' for a small one with random weights; by default one from the hub"
NUM_SENTENCES = {"local": 1_200, "cloud": 6_000}


def main() -> int:
    """Runs the pipeline that the command line asks for."""
    parser = make_parser()
    args = parser.parse_args()
    if args.num_sentences is None:
        args.num_sentences = NUM_SENTENCES[args.mode]
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    check(parser, args)
    with tempfile.TemporaryDirectory() as folder:
        try:
            model = find_model(args, Path(folder))
        except NoModelError as error:
            parser.error(f"{error}. In local mode, --model tiny makes a small model on the spot, without network")
        metrics = run(args, model)
    print(f"{args.num_sentences:,} sentences, model {args.model or cfg.TOKENIZER_NAME}, {args.device}\n")
    show(metrics)
    return 0


def make_parser() -> argparse.ArgumentParser:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(description="Classify sentences with RunInference and show the metrics.")
    parser.add_argument("-m", "--mode", choices=["local", "cloud"], default="local", help="where to run")
    parser.add_argument("-d", "--device", choices=["CPU", "GPU"], default="CPU", help="what the model runs on")
    parser.add_argument("-p", "--project", default=cfg.PROJECT_ID, help="project on Google Cloud, for --mode cloud")
    parser.add_argument("--model", metavar="PATH", help=MODEL_HELP)
    parser.add_argument("--num_sentences", type=int, help="how many to classify (local: 1200, cloud: 6000)")
    return parser


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Ends the program where the arguments cannot work."""
    if args.num_sentences < 1:
        parser.error(f"--num_sentences must be at least 1, got {args.num_sentences}")
    if args.mode == "cloud":
        if not args.project:
            parser.error(f"--mode cloud needs a project: set PROJECT_ID in {cfg.__file__}, or pass --project")
        if args.model:
            parser.error("--model is for --mode local: workers find the model by the names in config.py")
    elif args.device == "GPU" and not torch.cuda.is_available():
        parser.error(f"--device GPU: PyTorch {torch.__version__} finds no GPU on this machine; pass --device CPU")


def find_model(args: argparse.Namespace, temporary: Path) -> Model:
    """The model that the arguments ask for."""
    name = cfg.TOKENIZER_NAME
    if args.mode == "cloud":
        config = DistilBertConfig.from_pretrained(download(name, "config.json"))
        return Model(name, cfg.MODEL_STATE_DICT_PATH.format(project=args.project), config)
    if args.model == "tiny":
        make_tiny_model(temporary)
        return model_in_folder(temporary)
    return model_in_folder(Path(args.model) if args.model else download(name, "*.json", "vocab.txt", "*.safetensors"))


def run(args: argparse.Namespace, model: Model) -> dict[str, list[Any]]:
    """Runs the pipeline; gives what was measured."""
    model_handler = PytorchModelHandlerKeyedTensor(
        state_dict_path=model.state_dict_path,
        model_class=DistilBertForSequenceClassification,
        model_params={"config": model.config},
        device="cuda:0" if args.device == "GPU" else "cpu",
    )
    inputs = islice(cycle(SENTENCES), args.num_sentences)
    with beam.Pipeline(options=get_pipeline_options(args.mode, args.device, args.project)) as pipeline:
        _ = (
            pipeline
            | "Create inputs" >> beam.Create(list(inputs))
            | "Tokenize" >> beam.ParDo(Tokenize(model.tokenizer_name))
            | "Inference" >> RunInference(KeyedModelHandler(model_handler))
            | "Decode Predictions" >> beam.ParDo(PostProcessor())
        )
    return pipeline.result.metrics().query(MetricsFilter())


def show(metrics: dict[str, list[Any]]) -> None:
    """Prints a table, and the time that all batches took together."""
    found = list(rows(metrics))
    width = max(len(name) for _, name, _ in found)
    for namespace, group in groupby(found, key=lambda row: row[0]):
        print(namespace)
        for _, name, value in group:
            print(f"  {name:<{width}}  {value:>15,{'' if isinstance(value, int) else '.3f'}}")
    values = {name: value for _, name, value in found}
    batches, mean = (values[f"inference_batch_latency_micro_secs_{part}"] for part in ("COUNT", "MEAN"))
    # Not times the number of sentences: a batch has many of them.
    print(f"\nTotal time taken for inference: {batches * mean / 1e6:.3f} s", end=" ")
    print(f"({batches:,} batches x {mean / 1e3:.3f} ms mean batch latency)")


def rows(metrics: dict[str, list[Any]]) -> Iterator[tuple[str, str, float]]:
    """Namespace, name and value of each metric by namespace and name; a distribution has five."""
    found = [*metrics["counters"], *metrics["distributions"]]
    for metric in sorted(found, key=lambda metric: (metric.key.metric.namespace, metric.key.metric.name)):
        namespace, name = metric.key.metric.namespace, metric.key.metric.name
        if isinstance(metric.result, int):
            yield namespace, name, metric.result
            continue
        for part in ("count", "sum", "min", "max", "mean"):
            yield namespace, f"{name}_{part.upper()}", getattr(metric.result, part)


if __name__ == "__main__":
    sys.exit(main())
