"""Make an attention video of a vision-language model: the command, and the class for use from code.

python visualize_heatmap.py --model_path ... --benchmark_json ... --image_dir ... --sample_idx 0 --layer_idx 20
"""

from __future__ import annotations

import sys

from attnviz_video.lazy import lazy_attributes

__all__ = ["AttentionVisualizer", "main"]

__getattr__, __dir__ = lazy_attributes(
    __name__, {"AttentionVisualizer": "attnviz_video.api", "main": "attnviz_video.cli"}
)

if __name__ == "__main__":
    from attnviz_video.cli import main

    sys.exit(main())
