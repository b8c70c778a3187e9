// Numbers of the run, and the curves over its steps, on which a step can be chosen.

const strip = document.getElementById('strip');
const numbers = document.getElementById('numbers');
const STRIP_HEIGHT = 46;
const LABEL = 104;
/** Measured again when the window or the theme has changed: asking at every step costs more than painting. */
let stripWidth = 0;
let keptInks = null;

function runNumbers(run) {
  const shown = shownStep();
  const list = [];
  if (run.newest >= 0) {
    const most = run.limit && !run.ended && run.mode !== 'next' ? ` of at most ${run.nPrefix + run.limit}` : '';
    list.push(['tokens', `${run.newest + 1}${most}`]);
    if (run.nPrefix) list.push(['given', run.nPrefix]);
  }
  if (run.ended && run.stoppedBy === 'length' && run.mode !== 'next') list.push(['ended', 'cut at the most new tokens']);
  const rate = run.rate();
  if (!Number.isNaN(rate)) list.push(['per second', rate.toFixed(rate < 10 ? 1 : 0)]);
  if (shown !== null && run.images.length) list.push(['image share', percent(run.steps[shown].imageShare)]);
  if (run.nPrompt) list.push(['prompt', `${run.nPrompt} positions`]);
  if (run.layer !== undefined) list.push(['layer', `${run.layer} of ${run.nLayers}, mean of ${run.heads} heads`]);
  return list;
}

function paintNumbers(run) {
  const list = runNumbers(run);
  const text = JSON.stringify(list);
  if (paintNumbers.last === text) return;
  paintNumbers.last = text;
  numbers.replaceChildren(...list.map(([name, value]) => {
    const own = make('div', '', make('dt', '', name), make('dd', '', String(value)));
    own.dataset.fact = name;
    return own;
  }));
}

function curvesOf(run) {
  const curves = [];
  if (run.images.length) curves.push({ name: 'image share', color: seriesColor(1), value: (step) => step.imageShare });
  curves.push({ name: 'probability', color: stripInks().current, value: (step) => step.probability });
  return curves;
}

function paintStrip(run) {
  const count = run.newest + 1;
  strip.hidden = count < 2 || run.mode === 'next';
  if (strip.hidden) return;
  if (!stripWidth) stripWidth = strip.parentElement.clientWidth;
  const width = stripWidth;
  const inks = stripInks();
  const context = fitCanvas(strip, width, STRIP_HEIGHT);
  const right = width - 2;
  const x = (step) => LABEL + ((step + 0.5) / count) * (right - LABEL);
  const curves = curvesOf(run);
  context.font = '12px system-ui, sans-serif';
  context.textBaseline = 'middle';
  curves.forEach(({ name, color }, number) => {
    const y = curves.length === 1 ? STRIP_HEIGHT / 2 : 12 + number * 21;
    context.fillStyle = color;
    context.fillRect(0, y - 1, 10, 2.5);
    context.fillStyle = inks.soft;
    context.fillText(name, 16, y);
  });
  context.strokeStyle = inks.track;
  context.lineWidth = 1;
  for (const level of [0, 1]) {
    const y = levelY(level);
    context.beginPath();
    context.moveTo(LABEL, y);
    context.lineTo(right, y);
    context.stroke();
  }
  for (const { color, value } of curves) {
    context.strokeStyle = color;
    context.lineWidth = 1.75;
    context.lineJoin = 'round';
    context.beginPath();
    let pen = false;
    for (let step = 0; step < count; step++) {
      const level = run.steps[step] ? value(run.steps[step]) : NaN;
      if (Number.isNaN(level)) { pen = false; continue; }
      if (pen) context.lineTo(x(step), levelY(level));
      else context.moveTo(x(step), levelY(level));
      pen = true;
    }
    context.stroke();
  }
  const shown = shownStep();
  context.fillStyle = inks.accent;
  context.fillRect(Math.round(x(shown)) - 1, 0, 2, STRIP_HEIGHT);
  strip.setAttribute('aria-valuemin', '1');
  strip.setAttribute('aria-valuemax', String(count));
  strip.setAttribute('aria-valuenow', String(shown + 1));
}

/** The colours of the strip; asked of the browser once for a theme. */
function stripInks() {
  keptInks ??= { soft: themed('ink-soft'), track: themed('track'), accent: themed('accent'), current: themed('token-current') };
  return keptInks;
}

const levelY = (level) => STRIP_HEIGHT - 4 - Math.max(0, Math.min(1, level)) * (STRIP_HEIGHT - 8);

function stepAt(event) {
  const count = state.run.newest + 1;
  const bounds = strip.getBoundingClientRect();
  const step = Math.floor(((event.clientX - bounds.left - LABEL) / (bounds.width - LABEL)) * count);
  return Math.max(0, Math.min(count - 1, step));
}

strip.addEventListener('pointerdown', (event) => {
  strip.setPointerCapture(event.pointerId);
  pin(stepAt(event));
});
strip.addEventListener('pointermove', (event) => {
  const { run } = state;
  const number = stepAt(event);
  if (event.buttons & 1) pin(number);
  const step = run.steps[number];
  if (!step) return;
  const facts = curvesOf(run).map(({ name, value }) => [name, name === 'probability' ? probabilityText(value(step)) : percent(value(step))]);
  showTooltip(event, [make('strong', 'tip-title', `step ${number + 1}: ${run.nameOf(step.position)}`), factList(facts)]);
});
strip.addEventListener('pointerleave', hideTooltip);

/** One step back or on from the one shown; past the newest the page follows again. */
function walk(by) {
  const { run } = state;
  if (!run || run.newest < 0) return;
  const step = shownStep() + by;
  if (step > run.newest) pin(null);
  else if (step >= 0) pin(step);
}

whenChanged((changed) => {
  const { run } = state;
  if (changed.has('size')) stripWidth = 0;
  if (changed.has('theme')) keptInks = null;
  if (!run || state.view !== 'stream') return;
  paintNumbers(run);
  paintStrip(run);
});
