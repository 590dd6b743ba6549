"""A model of transformers with random weights, or with those of the user, in a file that every handler can load."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runinference.benchmarks.data.made import made_once
from runinference.benchmarks.data.weights import kind_of_url, own_weights
from runinference.benchmarks.settings import Settings
from runinference.errors import ConfigurationError, closest
from runinference.jobs.paths import is_url
from runinference.packages import require


@dataclass(frozen=True)
class Architecture:
    """A class of transformers, and the models of it that benchmarks run.

    Attributes:
        kind: What configuration files call it, such as `bert`.
        config: Name of the class of its configuration.
        model: Name of the class of the model.
        models: What differs from the defaults of the configuration, for each model.
        balance: Changes a model with random weights in place, so that its answers differ from row to row.
    """

    kind: str
    config: str
    model: str
    models: Mapping[str, Mapping[str, Any]]
    balance: Callable[[Any], object] | None = None


class PretrainedModel:
    """The model that a benchmark was asked to run.

    Args:
        architecture: Its class.
        settings: Which of its models, and with which weights.
    """

    def __init__(self, architecture: Architecture, settings: Settings) -> None:
        self._architecture = architecture
        self._settings = settings

    def arguments(self) -> tuple[str, type, dict[str, Any]]:
        """What a handler is given: the path or URL of the weights, the class of the model, and its arguments.

        Raises:
            ConfigurationError: There is no such model, or its weights are not there or of another kind.
        """
        return str(self.state_dict()), self._class(self._architecture.model), {"config": self.config()}

    def config(self) -> Any:
        """The configuration.

        Raises:
            ConfigurationError: There is no such model, or its weights are not there or of another kind.
        """
        weights = self._weights()
        config = self._class(self._architecture.config)
        if isinstance(weights, Path) and weights.is_dir():
            return config.from_pretrained(weights)
        return config(**self._differences())

    def state_dict(self) -> Path | str:
        """The file with the weights, as `torch.save` writes them, or its URL; made where it is not there.

        Raises:
            ConfigurationError: There is no such model, or its weights are not there or of another kind.
        """
        weights = self._weights()
        self._differences()
        if isinstance(weights, str):
            return weights
        if weights is None:
            name, make = self._settings.model, self._random
        elif weights.is_dir():
            name, make = f"{weights.name}-{_fingerprint(weights)}", partial(self._of_folder, weights)
        elif weights.suffix == ".safetensors":
            name, make = f"{weights.stem}-{_fingerprint(weights)}", partial(self._of_safetensors, weights)
        else:
            return weights
        name = f"{name}-{self._architecture.model}-transformers-{version('transformers')}.pth"
        return made_once(name, lambda path: _save(make(), path))

    def _differences(self) -> Mapping[str, Any]:
        models, model = self._architecture.models, self._settings.model
        if model not in models:
            raise ConfigurationError(
                f"There is no model {model!r}.{closest(model, models)} Models: {', '.join(models)}"
            )
        return models[model]

    def _weights(self) -> Path | str | None:
        """Where the user's weights are, a path or a URL; `None` for random ones."""
        place = own_weights(self._settings)
        if place is None:
            return None
        if is_url(place):
            self._check_url(place)
            return place
        path = Path(place)
        if path.is_dir():
            self._check_folder(path)
        return path

    def _check_url(self, url: str) -> None:
        safetensors = url.endswith(".safetensors")
        if safetensors or kind_of_url(url) == "directory":
            raise ConfigurationError(
                f"{url!r} is a {'file of safetensors' if safetensors else 'folder'}, which not every engine reads from "
                f"a URL. Give the URL of a state dict of {self._architecture.model}, saved by "
                "torch.save(model.state_dict(), …)"
            )

    def _check_folder(self, folder: Path) -> None:
        try:
            kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
        except (OSError, ValueError, AttributeError) as error:
            raise ConfigurationError(
                f"{str(folder)!r} is no folder with a model of transformers: its config.json cannot be read ({error})"
            ) from error
        if kind != self._architecture.kind:
            raise ConfigurationError(
                f"{str(folder)!r} holds a model of type {kind!r}; this benchmark runs {self._architecture.kind!r}"
            )

    def _random(self) -> Any:
        torch = require("torch", "torch", "run this benchmark")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = self._class(self._architecture.model)(self.config()).eval()
        if self._architecture.balance is not None:
            with torch.no_grad():
                self._architecture.balance(model)
        return model

    def _of_folder(self, folder: Path) -> Any:
        torch = require("torch", "torch", "run this benchmark")
        load = self._class(self._architecture.model).from_pretrained
        try:
            model, about = load(folder, local_files_only=True, dtype=torch.float32, output_loading_info=True)
        except Exception as error:
            raise ConfigurationError(f"The model in {str(folder)!r} cannot be loaded: {error}") from error
        missing = sorted(about["missing_keys"])
        if missing:
            raise ConfigurationError(
                f"The model in {str(folder)!r} lacks {len(missing)} weights of {self._architecture.model}, "
                f"such as {missing[0]!r}. Was it trained for another task?"
            )
        return model

    def _of_safetensors(self, file: Path) -> Any:
        from runinference.handlers.pytorch.state_dict import load_module

        return load_module(str(file), self._class(self._architecture.model), {"config": self.config()}, {})

    def _class(self, name: str) -> type[Any]:
        found: type[Any] = getattr(require("transformers", "huggingface", "run this benchmark"), name)
        return found


def _fingerprint(weights: Path) -> str:
    """Tells files from each other, and one from what it was before it was changed."""
    files = sorted(weights.iterdir()) if weights.is_dir() else [weights]
    known = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:12]


def _save(model: Any, path: Path) -> None:
    torch = require("torch", "torch", "run this benchmark")
    torch.save(model.state_dict(), path)
