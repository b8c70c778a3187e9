"""The page of the live server: one HTML text out of the viewer's parts; it speaks with its own server and no other."""

from __future__ import annotations

from attnviz_video.core.tokens import SEGMENT_NAMES
from attnviz_video.export.report.looks import color_looks, series_colors
from attnviz_video.export.report.page import fill, json_text, part, policy, program_of, theme_variables
from attnviz_video.render.settings import RenderSettings

#: The parts of the program, in the order in which they are put together; those that the report has too come from it.
SCRIPTS = (
    "report/numbers", "report/scale", "live/state", "report/paint", "report/unit_boxes", "report/cells",
    "live/requests", "live/run", "live/server", "live/events", "live/text", "live/pictures", "live/step_card",
    "live/strip", "live/attached", "live/composer", "live/runs", "live/report_frame", "live/stage", "live/main",
)  # fmt: skip
#: What the page may do besides what a report may: speak with its own server, show its images, report and video.
_FURTHER = ("connect-src 'self'", "frame-src 'self'", "media-src 'self'")


def live_page(render: RenderSettings | None = None) -> str:
    """The whole page; its colours, opacity and grid begin as `render` says (the video's defaults where it is None).

    The policy in its head forbids every other host, and every program but the page's own, by its hash.
    """
    look = render or RenderSettings()
    style = theme_variables() + part("report.css") + part("live.css")
    program = program_of(SCRIPTS)
    data = {
        "looks": color_looks(look),
        "series": series_colors(),
        "segmentNames": dict(SEGMENT_NAMES),
        "first": {"colormap": look.colormap, "heatAlpha": look.heat_alpha, "grid": look.grid_lines},
    }
    return fill(
        "live.html",
        {
            "@@POLICY@@": policy(style, program, images="'self' data: blob:", further=_FURTHER),
            "@@TITLE@@": "Live page",
            "@@STYLE@@": style,
            "@@DATA@@": json_text(data),
            "@@PROGRAM@@": program,
        },
    )
