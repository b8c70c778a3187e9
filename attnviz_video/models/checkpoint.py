"""Looks at a checkpoint before any of it is loaded or run, so that the user gets our sentence and not the hub's."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnviz_video.errors import ModelError
from attnviz_video.models.hub_library import transformers
from attnviz_video.models.settings import ModelSettings
from attnviz_video.models.text_decoders import reads_text_only
from attnviz_video.models.text_encoders import is_encoder


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model folder or hub id that was found, with its configuration file."""

    #: What `from_pretrained` is given: the folder (with `~` resolved) or the hub id.
    source: str
    revision: str | None
    trust_remote_code: bool
    #: config.json as it stands there.
    config: dict[str, Any]

    @property
    def model_type(self) -> str:
        return str(self.config.get("model_type", ""))

    def load_arguments(self) -> dict[str, Any]:
        """Arguments every `from_pretrained` of this checkpoint takes."""
        return {"revision": self.revision, "trust_remote_code": self.trust_remote_code}


def find_checkpoint(settings: ModelSettings) -> Checkpoint:
    """Read the configuration of the model the settings name, and refuse what cannot be shown.

    Raises:
        ModelError: not a model folder, not downloadable, not a vision-language model, or in need of remote code.
    """
    if settings.model_path is None:
        raise ModelError("no model was given; name a folder or a hub id with --model_path")
    if not settings.model_path.strip():
        raise ModelError("--model_path is empty; name a folder or a hub id with it")
    checkpoint = Checkpoint(
        _source(settings.model_path), settings.revision, settings.trust_remote_code, _read_config(settings)
    )
    _refuse_remote_code(checkpoint)
    _refuse_other_models(checkpoint)
    return checkpoint


def _source(model_path: str) -> str:
    folder = Path(model_path).expanduser()
    return str(folder) if folder.exists() else model_path


def _read_config(settings: ModelSettings) -> dict[str, Any]:
    path = str(settings.model_path)
    folder = Path(path).expanduser()
    if not folder.exists():
        return _download_config(path, settings.revision)
    if not folder.is_dir():
        raise ModelError(f"{path} is a file; --model_path takes a model folder or a hub id")
    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(f"{path} is not a model folder: it has no config.json")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is not valid JSON ({error}); the checkpoint is damaged") from error
    if not isinstance(config, dict):
        raise ModelError(f"{file} holds no JSON object; the checkpoint is damaged")
    return config


def _download_config(name: str, revision: str | None) -> dict[str, Any]:
    """config.json of a hub id, from the cache or the hub."""
    offline = os.environ.get("HF_HUB_OFFLINE", "")
    reason = f" (HF_HUB_OFFLINE={offline} is set, so only models already downloaded are found)" if offline else ""
    message = f"model {name!r} is neither a local folder nor a model that can be downloaded{reason}; check --model_path"
    if revision is not None:
        message += f" and --revision {revision}"
    if not _looks_like_hub_id(name):
        raise ModelError(message)
    try:
        config, _ = transformers.PretrainedConfig.get_config_dict(name, revision=revision)
    except Exception as error:
        raise ModelError(message) from error
    if not config:
        raise ModelError(message)
    return dict(config)


def _looks_like_hub_id(name: str) -> bool:
    """`name` or `owner/name`; anything else is meant as a path, and is not asked for on the network."""
    parts = name.split("/")
    plain = all(part and not part.startswith((".", "~", "-")) for part in parts)
    return len(parts) <= 2 and plain and all(char.isalnum() or char in "._-/" for char in name)


def _refuse_remote_code(checkpoint: Checkpoint) -> None:
    """A checkpoint whose model type only its own Python code knows is refused unless the user allowed that code."""
    if not checkpoint.config.get("auto_map") or checkpoint.trust_remote_code:
        return
    if checkpoint.model_type not in transformers.CONFIG_MAPPING:
        raise ModelError(
            f"{checkpoint.source} comes with its own Python code, which was not run; "
            "read that code and, if you trust it, give --trust_remote_code"
        )


def _refuse_other_models(checkpoint: Checkpoint) -> None:
    if checkpoint.trust_remote_code and checkpoint.config.get("auto_map"):
        return
    kind = checkpoint.model_type
    if not kind:
        raise ModelError(f"{checkpoint.source} is not a vision-language model: its config.json names no model_type")
    if kind not in transformers.CONFIG_MAPPING:
        raise ModelError(
            f"{checkpoint.source} has model_type {kind!r}, which transformers {transformers.__version__} does not know;"
            " a newer transformers may"
        )
    with_images = transformers.models.auto.modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    if kind not in with_images and not reads_text_only(kind) and not is_encoder(kind):
        raise ModelError(
            f"{checkpoint.source} is neither a vision-language model nor a text decoder: model_type {kind!r} writes no "
            "text after a prompt, and it is no text encoder either"
        )
