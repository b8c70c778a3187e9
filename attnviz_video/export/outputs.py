"""One painter, one schedule, any number of files: each is painted for, written and checked by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from jaxtyping import UInt8

from attnviz_video.analysis.scores import Scores
from attnviz_video.export.coders import Coder, GifCoder, Packet, PngCoder, RawCoder, WebpCoder
from attnviz_video.export.gif import check_gif_times, write_gif
from attnviz_video.export.gif_palette import GifPalette, gif_palette
from attnviz_video.export.mp4 import VideoMetadata
from attnviz_video.export.mp4_size import write_limited_mp4
from attnviz_video.export.names import Output
from attnviz_video.export.paint_pool import PaintPool, worker_count
from attnviz_video.export.paint_worker import Run, coded
from attnviz_video.export.png_folder import write_png_folder
from attnviz_video.export.poster import poster_frame, write_poster
from attnviz_video.export.schedule import Schedule
from attnviz_video.export.settings import ExportSettings
from attnviz_video.export.webp import write_webp
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.heat import image_heat, token_heat
from attnviz_video.render.settings import RenderSettings
from attnviz_video.theme import theme

#: Frames from which a GIF takes its colours, spread over the video.
_SAMPLED_FRAMES = 4


class CodedFrames:
    """The coded frames of a video, painted here or by workers; every iteration paints them anew.

    Use it in a `with` block: at its end no worker is left.
    """

    def __init__(self, video: Video, coder: Coder) -> None:
        self._video = video
        self._coder = coder
        self._workers = worker_count(video.export.render_workers, len(video.schedule.frames))
        self._pools = ExitStack()

    def __enter__(self) -> CodedFrames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pools.close()

    def __iter__(self) -> Iterator[Packet]:
        self._pools.close()
        video, frames = self._video, self._video.schedule.frames
        if self._workers == 1:
            return coded(video.painter, self._coder, (Run(frames, -1),))
        pool = PaintPool(video.scores, video.render, self._coder, frames, self._workers)
        return iter(self._pools.enter_context(pool))


@dataclass(frozen=True)
class Pictures:
    """Raw coded frames as pictures of `size` (width, height)."""

    raw: CodedFrames
    size: tuple[int, int]

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        width, height = self.size
        for packet in self.raw:
            yield np.frombuffer(packet, dtype=np.uint8).reshape(height, width, 3)


@dataclass(frozen=True)
class Video:
    """What is written, in whatever form."""

    scores: Scores
    painter: FramePainter
    schedule: Schedule
    render: RenderSettings
    export: ExportSettings
    metadata: VideoMetadata

    def check(self, outputs: Sequence[Output]) -> None:
        """Refuse before the first frame what cannot be written.

        Raises:
            UsageError: times that a GIF cannot have, or a poster of a step that is not there.
        """
        for output in outputs:
            if output.kind == "gif":
                check_gif_times(output.path, self.schedule)
            elif output.kind == "poster":
                assert self.export.poster != "none"
                if self.export.poster != "auto":
                    poster_frame(self.scores, self.export.poster)

    def notices(self, output: Output) -> tuple[str, ...]:
        """What the user should know about an output before it is made."""
        if output.kind == "mp4" and self.export.chroma == "444":
            return (
                f"{output.path} has full colour resolution (--chroma 444): browsers, QuickTime and PowerPoint do not "
                "play it, VLC and mpv do",
            )
        return ()

    def write(self, output: Output, notice: Callable[[str], None], on_frame: Callable[[int], None]) -> None:
        """Write one output; nothing is under its name until it is whole.

        Raises:
            AttnVizError: as the writer of its kind.
        """
        schedule, metadata, path, size = self.schedule, self.metadata, output.path, self.painter.size
        if output.kind == "poster":
            assert self.export.poster != "none"
            number = poster_frame(self.scores, self.export.poster)
            write_poster(self.painter.frame(number), path, metadata)
            return
        if output.kind == "mp4":
            with CodedFrames(self, RawCoder()) as raw:
                write_limited_mp4(
                    Pictures(raw, size), path, size=size, settings=self.export, metadata=metadata, schedule=schedule,
                    notice=notice, on_frame=on_frame,
                )  # fmt: skip
            return
        palette = self._palette() if output.kind == "gif" else None
        coder: Coder = WebpCoder(self.export.webp_quality) if output.kind == "webp" else PngCoder()
        with CodedFrames(self, coder if palette is None else GifCoder(palette)) as packets:
            if palette is not None:
                write_gif(
                    packets, path, size=size, palette=palette, schedule=schedule, metadata=metadata, notice=notice,
                    on_frame=on_frame,
                )  # fmt: skip
            elif output.kind == "webp":
                write_webp(packets, path, size=size, schedule=schedule, metadata=metadata, on_frame=on_frame)
            else:
                steps = self.scores.steps
                write_png_folder(
                    packets, path, schedule=schedule, steps=steps, metadata=metadata, on_frame=on_frame
                )  # fmt: skip

    def _palette(self) -> GifPalette:
        """The colours of a GIF: both ramps as the legends show them, and those of a few frames."""
        look = theme(self.render.theme, *self.painter.size)
        ground, image_ground = look.color("panel.background"), look.color("ramp.ground")
        text = token_heat(self.render.colormap, self.render.token_style, ground).ramp(ground)
        images = image_heat(self.render.colormap, self.render.heat_alpha).ramp(image_ground)
        shown = self.schedule.frames
        places = sorted({round(place) for place in np.linspace(0, len(shown) - 1, _SAMPLED_FRAMES)})
        return gif_palette([text, images], [self.painter.frame(shown[place]) for place in places])
