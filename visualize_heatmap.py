"""Make an attention video of a vision-language model: the command, and the class for use from code.

python visualize_heatmap.py --model_path ... --benchmark_json ... --image_dir ... --sample_idx 0 --layer_idx 20
"""

from __future__ import annotations

import signal
import sys

from attnviz_video.lazy import lazy_attributes

__all__ = ["AttentionVisualizer", "main"]

__getattr__, __dir__ = lazy_attributes(
    __name__, {"AttentionVisualizer": "attnviz_video.api", "main": "attnviz_video.cli"}
)

if __name__ == "__main__":
    # Ctrl-C while modules are loaded ends the program without a traceback; `main` says what it ends.
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    if on_ctrl_c is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from attnviz_video.cli import main

    signal.signal(signal.SIGINT, on_ctrl_c)
    sys.exit(main())
