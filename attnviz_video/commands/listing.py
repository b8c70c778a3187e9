"""The commands by name: what each does, and the module that carries it out."""

from __future__ import annotations

from collections.abc import Mapping

PROGRAM = "visualize_heatmap.py"
#: What each command does, in the order of the help; the module of that name beside this one carries it out.
COMMANDS: Mapping[str, str] = {
    "run": "generate an answer, record its attention, make the video (what flags alone mean)",
    "render": "make videos again from a recorded trace, or those that a batch lacks: no model, no GPU",
    "batch": "record and render many samples of a dataset; the same command again goes on where it stopped",
    "figure": "draw one step, or a filmstrip of some, as PDF, SVG or PNG for a paper",
    "plot": "plot the matrix of a layer, its heads, all layers, curves, rollout, as PDF, SVG or PNG for a paper",
    "serve": "serve a page on which a model answers while you watch where it looks, token by token",
    "report": "make an interactive page of a trace: one file that opens in a browser, from disk",
    "table": "list a trace's numbers: heaviest keys, the matrix, what positions received, shares (text, CSV, Parquet)",
    "layers": "list the layers of a model, and which of them --layer_idx may name",
}


def commands_help() -> str:
    """The list of commands, for the end of the help of `run`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join([f"commands ({PROGRAM} COMMAND -h shows the flags of each):", *lines])
