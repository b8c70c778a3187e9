"""The kinds of plots by name: what draws each, and how its file is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from attnviz_video.errors import UsageError
from attnviz_video.export.figures.step_figure import Drawn
from attnviz_video.export.plots.curves import curves_name, draw_curves
from attnviz_video.export.plots.filmstrip import draw_strip, filmstrip_name
from attnviz_video.export.plots.heads import draw_heads, heads_name
from attnviz_video.export.plots.layers import draw_layers, layers_name
from attnviz_video.export.plots.layers_heads import draw_layers_heads, layers_heads_name
from attnviz_video.export.plots.matrix import draw_matrix, matrix_name
from attnviz_video.export.plots.request import PlotRequest
from attnviz_video.export.plots.rollout import draw_rollout, rollout_name
from attnviz_video.export.plots.settings import PlotSettings


@dataclass(frozen=True)
class PlotKind:
    """One kind of plot."""

    #: Draws it; raises what stands in the way before long work.
    draw: Callable[[PlotRequest], Drawn]
    #: Name of its file without the ending, such as `attention_matrix_layer20`.
    name: Callable[[PlotRequest], str]
    #: Whether there is one plot for each layer asked for, or one for all of them.
    each_layer: bool = True


#: What `--what` may name.
KINDS: Mapping[str, PlotKind] = {
    "matrix": PlotKind(draw_matrix, matrix_name),
    "heads": PlotKind(draw_heads, heads_name),
    "layers_heads": PlotKind(draw_layers_heads, layers_heads_name, each_layer=False),
    "layers": PlotKind(draw_layers, layers_name, each_layer=False),
    "curves": PlotKind(draw_curves, curves_name, each_layer=False),
    "rollout": PlotKind(draw_rollout, rollout_name, each_layer=False),
    "filmstrip": PlotKind(draw_strip, filmstrip_name),
}
#: Flags that not every kind has a use for, and the kinds that do.
FLAG_KINDS: Mapping[str, tuple[str, ...]] = {
    "step": ("heads", "layers_heads", "layers", "rollout"),
    "steps": ("filmstrip",),
    "filmstrip": ("filmstrip",),
    "queries": ("matrix", "heads"),
    "patches": ("matrix", "heads"),
    "words": ("matrix", "heads"),
    "scalar": ("layers_heads", "curves"),
    "token": ("layers",),
    "occurrence": ("layers",),
    "keys": ("layers",),
    "top_keys": ("layers",),
    "threshold": ("layers",),
    "start_layer": ("rollout",),
    "discard_ratio": ("rollout",),
    "residual": ("rollout",),
    "style": ("matrix", "heads", "layers_heads", "layers", "curves"),
}


def refuse_unused(settings: PlotSettings) -> None:
    """Refuse flags that would have no effect on the kind of plot that is asked for.

    Raises:
        UsageError: there is one.
    """
    plain = PlotSettings()
    for name, kinds in FLAG_KINDS.items():
        if settings.what not in kinds and getattr(settings, name) != getattr(plain, name):
            raise UsageError(
                f"--{name} has no effect on --what {settings.what}; it is for --what {', '.join(kinds)}: "
                "leave it out, or choose one of these"
            )
