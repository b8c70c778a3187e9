// The boxes of one display unit of the text.

/**
 * Adds the boxes of unit number `index` to `place` and returns them: runs of text, with newlines and bare spaces as
 * faint marks; `kind` is "chip" (an image), "special", or empty.
 */
function appendUnit(place, text, kind, index) {
  const boxes = [];
  const add = (run, look = '') => {
    const box = make('span', `u ${look}`.trim(), run);
    box.dataset.unit = index;
    boxes.push(box);
    place.append(box);
  };
  if (kind) {
    add(text, kind);
    place.append('\u200b');
    return boxes;
  }
  for (const run of text.match(/\n+|[^\n]+/g) || ['']) {
    if (run[0] === '\n') {
      add(run.length <= 3 ? '⏎'.repeat(run.length) : `⏎×${run.length}`, 'mark');
      for (let i = 0; i < Math.min(2, run.length); i++) place.append(make('br'));
    } else if (!run.trim()) {
      add(run.length <= 3 ? '␣'.repeat(run.length) : `␣×${run.length}`, 'mark');
    } else {
      const inner = run.replace(/^ +/, '');
      if (inner.length < run.length) place.append(' '.repeat(run.length - inner.length));
      add(inner);
    }
  }
  return boxes;
}
