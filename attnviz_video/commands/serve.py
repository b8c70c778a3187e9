"""`serve`: the live page."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from attnviz_video.commands.console import ConsoleSettings, emit, reporter, say
from attnviz_video.commands.listing import COMMANDS, PROGRAM
from attnviz_video.config import REPORT_LOOK, RunConfig
from attnviz_video.config.compose import parse
from attnviz_video.config.demo import with_demo_model
from attnviz_video.errors import EnvironmentFault
from attnviz_video.serve.settings import ServeSettings
from attnviz_video.stopping import stop_on_signals

#: The settings of `run` that hold for every question, unless the page says otherwise.
SERVED = (
    "max_image_num",
    "model_path", "revision", "device", "device_map", "adapter", "dtype", "strategy", "task", "prompt_template",
    "system_prompt", "min_pixels", "max_pixels", "trust_remote_code",
    "layer_idx", "layers", "heads", "record_rows", "max_new_tokens", "do_sample", "temperature", "top_p", "top_k",
    "seed", "max_trace_gb",
    "head", "convention", "scale", "scale_scope", "gamma", "sinks",
    "theme", *REPORT_LOOK,
)  # fmt: skip


@dataclass(frozen=True)
class ServeArguments:
    """Everything `serve` understands."""

    serve: ServeSettings = field(default_factory=ServeSettings)
    run: RunConfig = field(default_factory=RunConfig, metadata={"only": SERVED})
    console: ConsoleSettings = field(default_factory=ConsoleSettings)


def serve(arguments: list[str]) -> int:
    """`serve`: load a model and serve the live page until Ctrl-C.

    Raises:
        AttnVizError, Interrupted: whatever stands in the way; a second Ctrl-C.
    """
    with stop_on_signals() as stop:
        parsed = parse(
            ServeArguments,
            arguments,
            prog=f"{PROGRAM} serve",
            description="Serve a page on which a model answers while you watch: tokens come with their attention as "
            "they are generated. Only this machine can open it, unless --host says otherwise. Ctrl-C ends it.",
            commands=COMMANDS,
        )
        progress = reporter(parsed.console)
        model, notices = with_demo_model(parsed.run.model)
        config = replace(parsed.run, model=model)
        say(progress, notices)
        try:
            from attnviz_video.serve.server import serve as serve_until
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "python_multipart", "anyio"):
                raise
            raise EnvironmentFault(
                f"the live page needs {error.name}, which is not installed: pip install 'attnviz-video[web]'"
            ) from error
        from attnviz_video.models.load import load_model
        from attnviz_video.serve.address import address_of, bind
        from attnviz_video.serve.live_recording import LiveRecorder, refuse_before_loading

        refuse_before_loading(config)
        # Before the model: a port that is taken must not be found out after minutes.
        with bind(parsed.serve) as bound:
            address = address_of(parsed.serve, bound)
            progress.notice(f"loading {config.model.model_path}")
            loaded = load_model(config.model)

            def on_ready() -> None:
                emit(json.dumps({"url": address.url}) if parsed.console.json else address.url)
                progress.notice(f"open {address.url} in a browser; Ctrl-C ends the server")

            recorder = LiveRecorder(loaded, config)
            serve_until(recorder, config, parsed.serve, bound, address, progress, stop, on_ready)
    return 0
