"""attnviz_video: where did the model look while it wrote this?

The map of the package, in the order data flows:

    sources    dataset and image files → Sample, pictures
    models     loading, prompt, layout, token text: what differs between model families
    capture    one generation, or the replay of one, with its attention rows → Steps
    tracefile  Steps ⇄ a trace on disk
    analysis   rows → weights, sinks, scale
    render     weights + layout → frames
    export     frames → MP4, WebP, GIF, PNG; weights → figures, tables, report
    pipeline   the whole story in one screen
    batch      many samples of a dataset
    serve      the live page
    views      an opened trace, and what is made of it; `api`, `commands` and `cli` stand on it
"""

from attnviz_video.lazy import lazy_attributes

__version__ = "0.1.0"

__all__ = [
    "AttentionVisualizer",
    "AttnVizError",
    "Trace",
    "__version__",
    "draw_figure",
    "open_trace",
    "record",
    "render_video",
    "replay",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "AttentionVisualizer": "attnviz_video.api",
        "AttnVizError": "attnviz_video.errors",
        "Trace": "attnviz_video.views",
        "draw_figure": "attnviz_video.views",
        "open_trace": "attnviz_video.views",
        "record": "attnviz_video.api",
        "render_video": "attnviz_video.views",
        "replay": "attnviz_video.api",
    },
)
