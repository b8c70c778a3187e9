"""The live page with 4,000 positions and 500 tokens: it stays smooth."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.fake_live_server import FakeRun, Script
from tests.browser.live_made import WORDS, told_prompt, told_step

STEPS, POSITIONS = 500, 4000
#: Milliseconds of the page's own thread that a token may take: half of a frame at 60 a second.
MOST_MS = 8.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "patches"])
def test_a_long_run_stays_smooth(open_live: Any, serve_planted: Any, kind: str) -> None:
    def script(run: FakeRun) -> Script:
        if kind == "text":
            told = told_prompt([f" word{number}" for number in range(POSITIONS - 1)])
        else:
            told = told_prompt(["x"] * 159, image=("scene.png", f"/api/runs/{run.id}/images/0"), grid=(60, 64))
        assert told["n_prompt"] >= POSITIONS
        steps = [told_step(told, step, WORDS[step % len(WORDS)]) for step in range(STEPS)]
        yield "prompt", told
        for step in steps:
            yield "step", step
            yield 0.02
        yield "done", {"stopped_by": "eos"}

    page = open_live(serve_planted(script).url)
    page.page.set_default_timeout(90_000)
    # In time of the processor, not of the clock: a test machine has other work to do.
    devtools = page.page.context.new_cdp_session(page.page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.ask("long", images=("scene.png",) if kind == "patches" else ())
    page.painted("running", 20)
    before = spent(devtools)
    page.painted("done")
    per_token = 1000 * (spent(devtools) - before) / (STEPS - 20)
    print(f"\n{kind}: {per_token:.1f} ms a token")
    page.painted("done", STEPS - 1)
    assert len(page.page.evaluate("() => attnvizLive.tokens()")) == POSITIONS + STEPS
    assert per_token < MOST_MS


def spent(devtools: Any) -> float:
    """Seconds that the page's thread has spent on its program, on style and on layout."""
    metrics = {one["name"]: one["value"] for one in devtools.send("Performance.getMetrics")["metrics"]}
    return sum(float(metrics[name]) for name in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration"))
