"""Settings of decoding that no model can obey are refused by their flag."""

from __future__ import annotations

import pytest

from attnviz_video.capture.decoding import check_decoding
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.errors import UsageError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (CaptureSettings(max_new_tokens=-1), "--max_new_tokens -1: give 0 or more"),
        (
            CaptureSettings(do_sample=True, temperature=0.0),
            "--temperature 0: give more than 0, or leave out",
        ),
        (CaptureSettings(top_p=1.5), "--top_p 1.5: give more than 0, at most 1"),
        (CaptureSettings(top_k=-3), r"--top_k -3: give 0 \(all tokens\) or more"),
        (CaptureSettings(seed=-3), "--seed -3: give 0 or more"),
    ],
)
def test_refused(settings: CaptureSettings, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_decoding(settings)


def test_defaults_pass() -> None:
    check_decoding(CaptureSettings())
