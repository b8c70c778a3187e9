// Lines between tokens: what was written on the left, what it looks at on the right, one colour per head. Only what is in
// sight is drawn, so that thousands of positions cost no more than a few.

const headsCanvas = document.getElementById('heads-canvas');
const headsBar = document.getElementById('heads-bar');
const headsState = {
  /** Heads whose lines are drawn: "mean" or numbers as text. */
  heads: new Set(),
  layer: null,
  sets: [],
  all: false,
  scroll: [0, 0],
  hover: null,
  /** A query of the prompt that was clicked: its lines stay until the step changes. */
  picked: null,
  least: 0.01,
  /** Which sentences lines join, as "first second": from, to; "" is all. */
  sentences: '',
};
/** Opacity of the lines of many queries at once. */
const CROWDED = 0.45;
/** So many heads are drawn at first. */
const FIRST_HEADS = 8;
const LINE_HEIGHT = 20;
const MAP_WIDTH = 10;
let querySide = [];
let keySide = [];

/** A unit's text in a list: without the space before a word, which nearly all have. */
function label(text) {
  return inline(text.replace(/^ (?=\S)/, '')) || ' ';
}

/** Left: the units that have a row, of the prompt as well where the page holds its rows; right: all units, with each
 * image as one.
 */
function buildSides() {
  keySide = data.units.full.map((unit) => ({ unit, label: label(unit[2]), start: unit[0], stop: unit[1] }));
  const wanted = data.promptRows ? data.units.full : data.units.none;
  querySide = wanted.map((unit) => ({ unit, label: label(unit[2]), frame: data.frames.indexOf(unit[1] - 1 - nPrompt) }))
    .filter((item) => item.frame >= 0 || (item.unit[4] < 0 && item.unit[1] <= nPrompt));
}

/** The step whose row a query shows, as `rowStepOf`; a query of the prompt has a negative one. */
function itemStep(item) {
  if (item.frame >= 0) return rowStepOf(data.frames[item.frame], state.convention);
  const own = item.unit[1] - 1 - nPrompt + (state.convention === 'reading' ? 1 : 0);
  return rowNumber.has(own) ? own : null;
}

function headChoices(layer) {
  const found = canShow(layer, 'mean') ? ['mean'] : [];
  for (const head of data.heads) if (hasBlock(layer, String(head))) found.push(String(head));
  return found;
}

function buildHeadsBar() {
  const choices = headChoices(state.layer);
  const chips = make('span', 'chips', make('span', 'soft', 'heads'));
  choices.forEach((head) => {
    const chip = button(head, `Lines of ${head === 'mean' ? 'the mean over heads' : `head ${head}`}; double-click: only these`, () => {
      if (!headsState.heads.delete(head)) headsState.heads.add(head);
      loadHeads();
    }, 'chip-button');
    chip.addEventListener('dblclick', () => { headsState.heads = new Set([head]); loadHeads(); });
    chip.setAttribute('aria-pressed', headsState.heads.has(head));
    chip.style.setProperty('--chip', headColor(head));
    chips.append(chip);
  });
  if (choices.length > 2) {
    chips.append(button('all', 'Lines of all heads', () => { headsState.heads = new Set(choices.filter((h) => h !== 'mean')); loadHeads(); }, 'chip-button'));
  }
  const every = segmented('Whose lines', [['one', 'current token'], ['all', 'all in sight']],
    () => (headsState.all ? 'all' : 'one'), (value) => { headsState.all = value === 'all'; touch('heads'); });
  const least = make('select');
  for (const value of [0, 0.001, 0.01, 0.05, 0.1]) least.append(new Option(value ? `≥ ${value}` : 'all', value, false, value === headsState.least));
  least.addEventListener('change', () => { headsState.least = Number(least.value); touch('heads'); });
  const missing = data.recordedHeadLayers.includes(state.layer) && !data.headLayers.includes(state.layer);
  headsBar.replaceChildren(chips, every, sentenceFilter(), make('label', '', 'weights ', least),
    make('span', 'soft grow', missing ? missingRows(state.layer, '') : ''));
}

/** Whether the text is a pair of sentences, and lines can be told apart by where they begin and end. */
const hasPair = data.units.full.some((unit) => unit[5] === 'second');

/** Chooses the sentence that lines begin in, and the one they end in; nothing where there is one text. */
function sentenceFilter() {
  if (!hasPair) return '';
  const [a, b] = ['first', 'second'];
  const choices = [['', 'all', 'All lines'], [`${a} ${b}`, 'A → B', 'From the first sentence to the second'],
    [`${b} ${a}`, 'B → A', 'From the second sentence to the first'], [`${a} ${a}`, 'A → A', 'Within the first sentence'],
    [`${b} ${b}`, 'B → B', 'Within the second sentence']];
  return segmented('Which sentences', choices, () => headsState.sentences, (value) => { headsState.sentences = value; touch('heads'); });
}

/** Whether lines from `query` to `key` are wanted. */
function isWanted(query, key) {
  if (!headsState.sentences) return true;
  const [from, to] = headsState.sentences.split(' ');
  return query.unit[5] === from && key.unit[5] === to;
}

function headColor(head) {
  if (head === 'mean') return themed('token-current');
  const place = data.heads.indexOf(Number(head));
  return `hsl(${(place * 360 * 0.381966) % 360} 62% ${isDark() ? 64 : 42}%)`;
}

/** The heads whose lines are drawn when a layer is shown first: its own, or the mean where there are none. */
function chooseHeads() {
  const choices = headChoices(state.layer);
  const own = choices.filter((head) => head !== 'mean');
  headsState.layer = state.layer;
  headsState.heads = new Set(own.length ? own.slice(0, FIRST_HEADS) : choices);
  if (/^\d+$/.test(state.head) && choices.includes(state.head)) headsState.heads = new Set([state.head]);
}

async function loadHeads() {
  const layer = headsState.layer;
  const wanted = [...headsState.heads].filter((head) => canShow(layer, head));
  const sets = await Promise.all(wanted.map(async (head) => ({ head, rows: await rowsOf(layer, head), color: headColor(head) })));
  if (layer !== headsState.layer) return;
  headsState.sets = sets;
  buildHeadsBar();
  followInHeads();
  touch('heads');
}

function headsGeometry() {
  const box = document.getElementById('heads-fill');
  const [width, height] = [box.clientWidth, box.clientHeight];
  const column = Math.max(96, Math.min(300, width * 0.3));
  return { width, height, column, left: MAP_WIDTH + 6 + column, right: width - MAP_WIDTH - 6 - column };
}

function sideLength(side) {
  return (side === 0 ? querySide : keySide).length * LINE_HEIGHT;
}

function scrollSide(side, to, height) {
  headsState.scroll[side] = Math.max(0, Math.min(sideLength(side) - height + 12, to));
}

const lineY = (side, index) => (index + 0.5) * LINE_HEIGHT - headsState.scroll[side] + 6;

function activeQueries() {
  if (headsState.hover && headsState.hover.side === 0) return [headsState.hover.index];
  if (headsState.picked !== null && !headsState.hover) return [headsState.picked];
  if (headsState.all || (headsState.hover && headsState.hover.side === 1)) return null;
  const position = currentPosition();
  const index = querySide.findIndex(({ unit }) => position >= unit[0] && position < unit[1]);
  return index < 0 ? [] : [index];
}

function paintHeads() {
  // Before the canvas is measured; lines of many queries at once leave the right side uncoloured.
  linesLegend.hidden = headsState.all;
  const place = headsGeometry();
  const { width, height } = place;
  const context = fitCanvas(headsCanvas, width, height);
  for (const side of [0, 1]) scrollSide(side, headsState.scroll[side], height);
  context.font = '13px system-ui, sans-serif';
  context.textBaseline = 'middle';
  const span = [0, 1].map((side) => {
    const length = (side === 0 ? querySide : keySide).length;
    return [Math.max(0, Math.floor((headsState.scroll[side] - 6) / LINE_HEIGHT)), Math.min(length, Math.ceil((headsState.scroll[side] + height) / LINE_HEIGHT))];
  });
  const active = activeQueries();
  const queries = active ?? Array.from({ length: span[0][1] - span[0][0] }, (_, i) => span[0][0] + i);
  const onlyKey = headsState.hover && headsState.hover.side === 1 ? headsState.hover.index : null;
  const means = queries.length === 1 ? meanWeights(queries[0]) : null;
  paintLines(context, place, queries, onlyKey, span);
  paintSide(context, place, 0, span[0], means, onlyKey);
  paintSide(context, place, 1, span[1], means, onlyKey);
  paintMaps(context, place, means);
  paintLinesLegend(means);
}

function paintLines(context, place, queries, onlyKey, span) {
  context.save();
  context.beginPath();
  context.rect(place.left, 0, place.right - place.left, place.height);
  context.clip();
  for (const index of queries) {
    const step = itemStep(querySide[index]);
    if (step === null) continue;
    const y0 = lineY(0, index);
    headsState.sets.forEach(({ rows, color }, number) => {
      const row = rows.row(step);
      context.strokeStyle = color;
      const shift = (number - (headsState.sets.length - 1) / 2) * Math.min(2, 12 / headsState.sets.length);
      const keys = onlyKey === null ? keySide.keys() : [onlyKey];
      for (const key of keys) {
        if (!isWanted(querySide[index], keySide[key])) continue;
        const inSight = key >= span[1][0] && key < span[1][1];
        if (!inSight && headsState.all) continue;
        const weight = itemWeight(row, keySide[key]);
        if (!(weight > 0) || weight < headsState.least) continue;
        context.globalAlpha = Math.min(1, 0.08 + 0.92 * Math.sqrt(weight)) * (inSight ? 1 : 0.35) * (queries.length > 1 ? CROWDED : 1);
        context.lineWidth = 0.75 + 3.25 * Math.sqrt(weight);
        const y1 = lineY(1, key) + shift;
        const middle = (place.left + place.right) / 2;
        context.beginPath();
        context.moveTo(place.left, y0 + shift);
        context.bezierCurveTo(middle, y0 + shift, middle, y1, place.right, y1);
        context.stroke();
      }
    });
  }
  context.restore();
}

function paintSide(context, place, side, [from, to], means, onlyKey) {
  const items = side === 0 ? querySide : keySide;
  const position = currentPosition();
  for (let index = from; index < to; index++) {
    const item = items[index];
    const y = lineY(side, index);
    const x = side === 0 ? MAP_WIDTH + 6 : place.right;
    const isPicked = side === 0 && headsState.picked === index;
    const isCurrent = position >= item.unit[0] && position < item.unit[1];
    const isHover = headsState.hover && headsState.hover.side === side && headsState.hover.index === index;
    let ink = themed('ink');
    let fill = null;
    const words = fitted(context, item.label, place.column - 64);
    if (isCurrent) [fill, ink] = [themed('token-current'), themed('token-current-ink')];
    else if (means && side === 1) {
      const wide = context.measureText(words).width + 10;
      ink = paintItemBox(context, means, index, [x + 3, y - LINE_HEIGHT / 2 + 1, wide, LINE_HEIGHT - 2]);
    }
    if (side === 1 && onlyKey === index) [fill, ink] = [themed('accent'), themed('token-current-ink')];
    if (fill) {
      context.fillStyle = fill;
      context.fillRect(x, y - LINE_HEIGHT / 2 + 1, place.column, LINE_HEIGHT - 2);
    }
    if (isHover || isPicked) {
      context.strokeStyle = themed('ink');
      context.lineWidth = 1;
      context.strokeRect(x + 0.5, y - LINE_HEIGHT / 2 + 1.5, place.column - 1, LINE_HEIGHT - 3);
    }
    context.fillStyle = ink;
    context.textAlign = side === 0 ? 'right' : 'left';
    context.fillText(words, side === 0 ? x + place.column - 8 : x + 8, y);
    context.fillStyle = fill ? ink : themed(side === 0 ? 'ink-faint' : 'ink');
    context.textAlign = side === 0 ? 'left' : 'right';
    const number = means && side === 1 && means.values[index] >= 0.0005 ? percent(means.values[index]) : side === 0 && item.frame >= 0 ? String(item.frame + 1) : '';
    context.fillText(number, side === 0 ? x + 4 : x + place.column - 6, y);
  }
}

/** Scroll bars that show where the weight is, also out of sight. */
function paintMaps(context, place, means) {
  for (const side of [0, 1]) {
    const length = sideLength(side);
    const x = side === 0 ? 0 : place.width - MAP_WIDTH;
    const scale = place.height / Math.max(length + 12, place.height);
    context.fillStyle = themed('track');
    context.fillRect(x, 0, MAP_WIDTH, place.height);
    if (side === 1 && means) {
      context.fillStyle = themed('accent');
      means.values.forEach((value, index) => {
        if (!(value > 0)) return;
        context.globalAlpha = Math.min(1, 0.1 + Math.sqrt(value / means.largest));
        if (value / means.largest > 0.01) context.fillRect(x, (index * LINE_HEIGHT + 6) * scale, MAP_WIDTH, Math.max(1.5, LINE_HEIGHT * scale));
      });
      context.globalAlpha = 1;
    }
    if (scale < 1) {
      context.strokeStyle = themed('ink-soft');
      context.lineWidth = 1.5;
      context.strokeRect(x + 0.75, headsState.scroll[side] * scale + 0.75, MAP_WIDTH - 1.5, place.height * scale - 1.5);
    }
  }
}

/** Bring the current token (and what it looks at most) into sight. */
function followInHeads() {
  const { height } = headsGeometry();
  const position = currentPosition();
  const index = querySide.findIndex(({ unit }) => position >= unit[0] && position < unit[1]);
  if (index < 0) return;
  const y = lineY(0, index);
  if (y < 30 || y > height - 30) scrollSide(0, index * LINE_HEIGHT - height / 2, height);
  const means = meanWeights(index);
  if (!means) return;
  const heaviest = means.values.indexOf(means.largest);
  const at = lineY(1, heaviest);
  if (heaviest >= 0 && (at < 0 || at > height)) scrollSide(1, heaviest * LINE_HEIGHT - height / 2, height);
}

function headsUnder(event) {
  const bounds = headsCanvas.getBoundingClientRect();
  const place = headsGeometry();
  const [x, y] = [event.clientX - bounds.left, event.clientY - bounds.top];
  const side = x < place.left ? 0 : x > place.right ? 1 : -1;
  const inMap = x < MAP_WIDTH || x > place.width - MAP_WIDTH;
  const index = side < 0 ? -1 : Math.floor((y - 6 + headsState.scroll[side]) / LINE_HEIGHT);
  const items = side === 0 ? querySide : keySide;
  return { side, index, y, inMap, place, item: side >= 0 ? items[index] : undefined, nearer: x < place.width / 2 ? 0 : 1 };
}

function headsTip({ side, item }) {
  const title = make('strong', 'tip-title', item.label);
  if (side === 0) return [title, factList([...(item.frame >= 0 ? [[stepWord, item.frame + 1]] : []), ['position', item.unit[1] - 1]])];
  const query = activeQueries();
  const facts = [['position', item.stop - item.start > 1 ? `${item.start} to ${item.stop - 1}` : item.start]];
  const step = query && query.length ? itemStep(querySide[query[0]]) : rowStepOf(data.frames[state.frame], state.convention);
  for (const { head, rows } of step === null ? [] : headsState.sets) {
    const weight = itemWeight(rows.row(step), item);
    facts.push([head === 'mean' ? 'mean' : `head ${head}`, Number.isNaN(weight) ? 'not seen' : weightText(weight, rows.coding)]);
  }
  return [title, factList(facts.slice(0, 16))];
}

headsCanvas.addEventListener('pointermove', (event) => {
  const under = headsUnder(event);
  if (under.inMap && event.buttons & 1) { dragMap(under); return; }
  const hover = under.item && !under.inMap ? { side: under.side, index: under.index } : null;
  if (JSON.stringify(hover) !== JSON.stringify(headsState.hover)) {
    headsState.hover = hover;
    touch('heads');
  }
  if (hover) showTooltip(event, headsTip(under));
  else hideTooltip();
});
headsCanvas.addEventListener('pointerleave', () => { headsState.hover = null; hideTooltip(); touch('heads'); });
headsCanvas.addEventListener('wheel', (event) => {
  event.preventDefault();
  const { nearer, place } = headsUnder(event);
  const amount = event.deltaMode === 1 ? event.deltaY * LINE_HEIGHT : event.deltaY;
  scrollSide(nearer, headsState.scroll[nearer] + amount, place.height);
  touch('heads');
}, { passive: false });
headsCanvas.addEventListener('pointerdown', (event) => {
  const under = headsUnder(event);
  if (under.inMap) {
    headsCanvas.setPointerCapture(event.pointerId);
    dragMap(under);
  } else if (under.side === 0 && under.item) {
    headsState.picked = under.item.frame < 0 ? under.index : null;
    if (under.item.frame >= 0) goTo(under.item.frame);
    touch('heads');
  }
  if (under.side === 1 && !under.inMap && under.item) {
    const frame = data.frames.indexOf(under.item.stop - 1 - nPrompt);
    if (frame >= 0) goTo(frame);
  }
});

function dragMap({ side, y, place }) {
  const scale = place.height / Math.max(sideLength(side) + 12, place.height);
  scrollSide(side, y / scale - place.height / 2, place.height);
  touch('heads');
}

whenChanged((changed) => {
  if (state.view !== 'heads') return;
  if (headsState.layer !== state.layer || changed.has('head')) {
    chooseHeads();
    headsState.sets = [];
    loadHeads();
  } else if (changed.has('theme')) loadHeads();
  if (changed.has('frame')) headsState.picked = null;
  if (changed.has('frame') || changed.has('view')) followInHeads();
  paintHeads();
});
