// The timeline: image share, entropy, sink share and the probability of the token over all steps.

const strip = document.getElementById('strip');
const STRIP_LABEL = 118;
const STRIP_VALUE = 66;
const BAND = 14;
/** Heights of a curve in pixels: in a high window, in a low one, and on a phone. */
const ROW_HEIGHTS = { high: 25, low: 20, phone: 18 };
const LOW_WINDOW = 760;
/** More images than this are one band of areas, so that the timeline leaves room for the images themselves. */
const MOST_IMAGE_CURVES = 2;
/** Height of that band in curves. */
const BAND_ROWS = 2;
/** So many images are told of one step. */
const MOST_TOLD = 12;
let stripCurves = null;
let stripKey = '';

/** The curves of the layer and head shown, by their rows as recorded. */
function curves() {
  const analysis = state.analysis;
  if (!analysis) return [];
  const pinned = [...state.pinned];
  const key = [state.layer, state.head, state.convention, pinned.join(',')].join(' ');
  if (key === stripKey && stripCurves && stripCurves.analysis === analysis) return stripCurves.list;
  const head = /^\d+$/.test(state.head) ? Number(state.head) : null;
  const known = scalars.values && scalars.layers.includes(state.layer) && state.head !== 'rollout';
  const facts = analysis.rowSteps.map((step) => (step === null ? null : rowFacts(analysis.rows.row(step), analysis.sinks)));
  const shares = data.images.map((_, image) => ({
    name: data.images.length > 1 ? `image ${image + 1} share` : 'image share',
    color: seriesColor(image + 1), top: null, text: percent,
    values: analysis.rowSteps.map((step, n) => {
      if (step === null) return NaN;
      if (!known) return facts[n].images[image];
      return head === null ? meanScalar(`share ${image}`, step, state.layer) : scalar(`share ${image}`, step, state.layer, head);
    }),
  }));
  const list = shares.length > MOST_IMAGE_CURVES ? [together(shares)] : shares;
  list.push({
    name: known && head === null ? 'entropy of heads' : 'entropy', color: themed('series-entropy'), top: null,
    text: (value) => (Number.isNaN(value) ? '–' : `${value.toFixed(2)} nat`),
    values: analysis.rowSteps.map((step, n) => {
      if (step === null) return NaN;
      if (!known) return facts[n].entropy;
      return head === null ? meanScalar('entropy', step, state.layer) : scalar('entropy', step, state.layer, head);
    }),
  });
  if (analysis.sinks.length) {
    list.push({ name: 'sink share', color: themed('sink-fill'), top: null, text: percent, values: facts.map((f) => (f ? f.sinkShare : NaN)) });
  }
  const probabilities = data.frames.map((step) => data.steps[step][2][0]?.[2] ?? NaN);
  if (!isEncoding && probabilities.some((value) => !Number.isNaN(value))) {
    list.push({ name: 'top-1 probability', color: themed('token-current'), top: 1, text: probabilityText, values: probabilities });
  }
  if (pinned.length) {
    list.push({
      name: pinned.length > 1 ? `${pinned.length} pinned, sum` : `on “${inline(textOf(pinned[0])).slice(0, 12)}”`,
      color: themed('box-truth'), top: null, text: (value) => (Number.isNaN(value) ? '–' : weightText(value, analysis.rows.coding)),
      values: analysis.rowSteps.map((step) => (step === null ? NaN : weightOn(analysis.rows.row(step), pinned))),
    });
  }
  stripKey = key;
  stripCurves = { analysis, list };
  return list;
}

/** The shares of many images as one band: areas on top of each other, and their sum. */
function together(shares) {
  return {
    name: `${shares.length} images, share`, color: themed('ink-soft'), top: null, text: percent, parts: shares,
    values: shares[0].values.map((_, number) => shares.reduce((sum, { values }) => sum + values[number], 0)),
  };
}

/** What the tooltip says of step `number`: every curve, and the largest parts of a band. */
function stripFacts(number) {
  return curves().flatMap((curve) => {
    const own = [curve.name, curve.text(curve.values[number])];
    if (!curve.parts) return [own];
    const parts = curve.parts.map(({ name, values }) => [name, values[number]]);
    const least = parts.map(([, value]) => value).sort((one, other) => other - one)[MOST_TOLD - 1] ?? -Infinity;
    return [own, ...parts.filter(([, value]) => value >= least).slice(0, MOST_TOLD).map(([name, value]) => [name, percent(value)])];
  });
}

/** Weight of a row on some positions together; NaN where it sees none of them. */
function weightOn(row, positions) {
  let sum = NaN;
  for (const position of positions) if (position < row.length) sum = (Number.isNaN(sum) ? 0 : sum) + row[position];
  return sum;
}

function stripGeometry() {
  const around = getComputedStyle(strip.parentElement);
  const width = strip.parentElement.clientWidth - parseFloat(around.paddingLeft) - parseFloat(around.paddingRight);
  const phone = width < 560;
  const left = phone ? 84 : STRIP_LABEL;
  const rowHeight = ROW_HEIGHTS[phone ? 'phone' : innerHeight <= LOW_WINDOW ? 'low' : 'high'];
  return { width, left, right: width - (phone ? 58 : STRIP_VALUE), rowHeight };
}

function frameX(number, { left, right }) {
  return left + ((number + 0.5) / data.frames.length) * (right - left);
}

function paintStrip() {
  const list = curves();
  const place = stripGeometry();
  const heights = list.map((curve) => (curve.parts ? BAND_ROWS : 1) * place.rowHeight);
  const height = BAND + 6 + heights.reduce((sum, own) => sum + own, 0) + 2;
  const context = fitCanvas(strip, place.width, height);
  const { left, right, rowHeight } = place;
  paintSegments(context, place);
  context.font = `${rowHeight < 20 ? 11 : 12}px system-ui, sans-serif`;
  context.textBaseline = 'middle';
  let top = BAND + 6;
  list.forEach((curve, index) => {
    const bottom = top + heights[index];
    const middle = (top + bottom) / 2;
    const known = curve.values.filter((value) => !Number.isNaN(value));
    const largest = curve.top ?? Math.max(...known, 1e-9);
    context.fillStyle = themed('ink-soft');
    context.textAlign = 'left';
    context.fillText(fitted(context, curve.name, left - 10), 0, middle);
    context.textAlign = 'right';
    context.fillStyle = themed('ink');
    context.fillText(curve.text(curve.values[state.frame]), place.width, middle);
    context.strokeStyle = themed('track');
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(left, bottom - 2.5);
    context.lineTo(right, bottom - 2.5);
    context.stroke();
    const y = (value) => bottom - 3 - (Math.max(0, value) / largest) * (bottom - top - 7);
    if (curve.parts) paintAreas(context, place, curve.parts, y);
    else paintCurve(context, place, curve, y);
    top = bottom;
  });
  const x = frameX(state.frame, place);
  context.fillStyle = themed('accent');
  context.fillRect(Math.round(x) - 1, 0, 2, height);
  for (const number of state.brushed) {
    context.globalAlpha = 0.22;
    context.fillRect(frameX(number, place) - Math.max(1, (right - left) / data.frames.length / 2), 0, Math.max(2, (right - left) / data.frames.length), height);
    context.globalAlpha = 1;
  }
}

function paintCurve(context, place, { values, color }, y) {
  context.strokeStyle = color;
  context.lineWidth = 1.75;
  context.lineJoin = 'round';
  context.beginPath();
  let pen = false;
  values.forEach((value, number) => {
    if (Number.isNaN(value)) { pen = false; return; }
    if (pen) context.lineTo(frameX(number, place), y(value));
    else context.moveTo(frameX(number, place), y(value));
    pen = true;
  });
  context.stroke();
}

/** One area per part, the first at the bottom; steps without a row are left open. */
function paintAreas(context, place, parts, y) {
  const below = parts[0].values.map(() => 0);
  for (const { values, color } of parts) {
    context.fillStyle = color;
    for (let start = 0; start < values.length;) {
      let stop = start;
      while (stop < values.length && !Number.isNaN(values[stop])) stop++;
      context.beginPath();
      for (let n = start; n < stop; n++) context.lineTo(frameX(n, place), y(below[n] + values[n]));
      for (let n = stop - 1; n >= start; n--) context.lineTo(frameX(n, place), y(below[n]));
      context.fill();
      start = stop + 1;
    }
    values.forEach((value, number) => { below[number] += value; });
  }
}

function paintSegments(context, place) {
  const { left, right } = place;
  const segments = data.frames.map((step) => segmentOf(nPrompt + step));
  const cell = (right - left) / data.frames.length;
  const colors = { think: 'segment-think', answer: 'segment-answer' };
  for (let start = 0; start < segments.length;) {
    let stop = start;
    while (stop < segments.length && segments[stop] === segments[start]) stop++;
    const x = left + start * cell;
    const width = (stop - start) * cell;
    context.fillStyle = themed(colors[segments[start]] || 'segment-other');
    context.fillRect(x, 0, Math.max(1, width - 1), BAND);
    const name = data.segmentNames[segments[start]];
    context.font = '11px system-ui, sans-serif';
    context.textBaseline = 'middle';
    context.textAlign = 'left';
    context.fillStyle = themed('ink');
    if (context.measureText(name).width + 8 < width) context.fillText(name, x + 4, BAND / 2 + 0.5);
    start = stop;
  }
}

const segmentOfPosition = new Map();
function segmentOf(position) {
  if (!segmentOfPosition.size) {
    for (const unit of data.units.full) for (let p = unit[0]; p < unit[1]; p++) segmentOfPosition.set(p, unit[5]);
  }
  return segmentOfPosition.get(position);
}

function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let short = text;
  while (short.length > 1 && context.measureText(`${short}…`).width > width) short = short.slice(0, -1);
  return `${short}…`;
}

function stripFrame(event) {
  const place = stripGeometry();
  const x = event.clientX - strip.getBoundingClientRect().left;
  const number = Math.floor(((x - place.left) / (place.right - place.left)) * data.frames.length);
  return Math.max(0, Math.min(data.frames.length - 1, number));
}

strip.addEventListener('pointerdown', (event) => {
  strip.setPointerCapture(event.pointerId);
  change({ playing: false });
  goTo(stripFrame(event));
});
strip.addEventListener('pointermove', (event) => {
  if (event.buttons & 1) goTo(stripFrame(event));
  const number = stripFrame(event);
  const title = `${stepWord} ${number + 1}: ${inline(textOf(nPrompt + data.frames[number]))}`;
  showTooltip(event, [make('strong', 'tip-title', title), factList(stripFacts(number))]);
});
strip.addEventListener('pointerleave', hideTooltip);

whenChanged((changed) => {
  if (changed.has('theme')) stripKey = '';
  paintStrip();
});
