// The text on the stage: every token on a box in the colour of its weight. Only what is in sight is painted.

const textPanel = document.getElementById('text');
const toNewest = document.getElementById('to-newest');
const BAR_HEIGHT = 4;
/** Units to a piece of text that is painted, or left alone, as one. */
const CHUNK = 100;
const TEXT_SIZES = [17, 24];
/** Units above which no size is tried: laying out so much text takes too long. */
const MOST_FITTED = 500;
/** Pixels from the end within which the text follows the newest token. */
const NEAR_END = 90;
/** How long after a turn of the wheel, or the like, text still scrolls because of it. */
const SCROLLED_MS = 700;
/** How long the pointer rests on a token before its row is shown. */
const REST_MS = 90;

let shownRun = null;
/** The section that grows, and which segments the boxes stand in. */
let lastSection = null;
let shownSections = '';
let chunks = [];
let chunkOf = new Map();
let boxesOf = [];
let nShownUnits = 0;
let textSize = TEXT_SIZES[1];
let follows = true;
let restTimer = 0;
/** The unit under the pointer. */
let restsOn = -1;

const chunkWatcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const chunk = chunkOf.get(entry.target);
    if (chunk) chunk.seen = entry.isIntersecting;
  }
  touch('chunks');
}, { root: textPanel, rootMargin: '240px' });

function clearText(run) {
  chunkWatcher.disconnect();
  shownRun = run;
  lastSection = null;
  shownSections = '';
  chunks = [];
  chunkOf = new Map();
  boxesOf = [];
  nShownUnits = 0;
  follows = true;
  [, textSize] = TEXT_SIZES;
  textPanel.style.fontSize = `${textSize}px`;
  textPanel.replaceChildren();
}

function sectionOf(unit, run) {
  const name = run.segmentOf(unit);
  if (lastSection?.name !== name) {
    const flow = make('div', 'flow');
    lastSection = { name, flow, chunk: null };
    textPanel.append(make('div', `section section-${name}`, make('h2', '', data.segmentNames[name] ?? name), flow));
  }
  return lastSection;
}

/** A tag that has become whole says of tokens before it what they are: their boxes are made anew in their sections. */
function renewSections(run) {
  const told = JSON.stringify(run.sections);
  if (told === shownSections) return;
  shownSections = told;
  const first = run.units.findIndex((unit) => unit.stop > run.nPrompt);
  if (first < 0 || first >= nShownUnits) return;
  const isRight = (index) => boxesOf[index].segment === run.segmentOf(run.units[index]);
  if (Array.from({ length: nShownUnits - first }, (_, at) => first + at).every(isRight)) return;
  for (const place of textPanel.querySelectorAll('.section:not(.section-prompt)')) place.remove();
  for (const chunk of chunks.filter((own) => own.units[0] >= first)) {
    chunkWatcher.unobserve(chunk.element);
    chunkOf.delete(chunk.element);
  }
  chunks = chunks.filter((own) => own.units[0] < first);
  boxesOf.length = nShownUnits = first;
  lastSection = null;
}

/** Adds the boxes of units that have come, and renews that of a character that has become whole. */
function growText(run) {
  renewSections(run);
  for (let index = Math.max(0, nShownUnits - 1); index < run.units.length; index++) {
    const unit = run.units[index];
    if (index < nShownUnits) {
      if (unit.changed) renewUnit(unit, index);
      continue;
    }
    const section = sectionOf(unit, run);
    if (!section.chunk || section.chunk.units.length >= CHUNK) {
      const element = make('span', 'chunk');
      section.chunk = { element, units: [], seen: true };
      section.flow.append(element);
      chunks.push(section.chunk);
      chunkOf.set(element, section.chunk);
      chunkWatcher.observe(element);
    }
    section.chunk.units.push(index);
    boxesOf[index] = { boxes: boxesIn(section.chunk.element, unit, index), look: '', segment: section.name };
    unit.changed = false;
  }
  nShownUnits = run.units.length;
}

function boxesIn(place, unit, index) {
  const boxes = appendUnit(place, unit.whole ? unit.text : '…', unit.kind, index);
  if (unit.given) boxes.forEach((box) => box.classList.add('given'));
  return boxes;
}

function renewUnit(unit, index) {
  const own = boxesOf[index];
  const place = document.createDocumentFragment();
  const boxes = boxesIn(place, unit, index);
  own.boxes[0].before(place);
  own.boxes.forEach((box) => box.remove());
  boxesOf[index] = { boxes, look: '', segment: own.segment };
  unit.changed = false;
}

function paintChunks(run) {
  const shown = shownStep();
  const step = shown === null ? null : run.steps[shown];
  const styles = tokenStyles();
  const dress = `${state.colormap}/${isDark()}`;
  for (const chunk of chunks) {
    if (!chunk.seen) continue;
    for (const index of chunk.units) paintUnit(run, index, step, styles, dress);
  }
}

function paintUnit(run, index, step, styles, dress) {
  const unit = run.units[index];
  const own = boxesOf[index];
  const { kind, level } = lookOf(run, unit, step);
  const colorStep = kind === 'level' ? stepOf(level) : -1;
  const bar = kind === 'level' ? Math.round(level * BAR_HEIGHT) : 0;
  const sink = Boolean(step) && run.scale.isSink(unit);
  const look = `${kind}${colorStep}/${bar}/${sink}/${dress}`;
  if (own.look === look) return;
  own.look = look;
  own.boxes.forEach((box, part) => {
    box.dataset.look = kind;
    box.style.backgroundColor = colorStep >= 0 ? styles.box[colorStep] : '';
    box.style.color = colorStep >= 0 ? styles.ink[colorStep] : '';
    box.style.boxShadow = bar ? `inset 0 -${bar}px 0 var(--token-bar)` : '';
    box.classList.toggle('sink', sink && part === 0);
  });
}

function lookOf(run, unit, step) {
  if (unit.image >= 0) return { kind: 'chip' };
  if (!step) return { kind: 'bare' };
  if (step.position >= unit.first && step.position < unit.stop) return { kind: 'current' };
  if (unit.stop > step.position) return { kind: 'later' };
  if (!step.row) return { kind: 'bare' };
  const level = levelOf(sumAsNumpy(step.row, unit.first, unit.stop), run.scale.tops.text);
  return Number.isNaN(level) ? { kind: 'nan' } : { kind: 'level', level };
}

/** Smaller letters while the text does not fit; then the panel scrolls. A long text has the smallest from the start. */
function fitLetters(run) {
  if (run.units.length > MOST_FITTED && textSize > TEXT_SIZES[0]) {
    [textSize] = TEXT_SIZES;
    textPanel.style.fontSize = `${textSize}px`;
  }
  while (textSize > TEXT_SIZES[0] && textPanel.scrollHeight > textPanel.clientHeight + 1) {
    textSize--;
    textPanel.style.fontSize = `${textSize}px`;
  }
}

function isNearEnd() {
  return textPanel.scrollHeight - textPanel.scrollTop - textPanel.clientHeight < NEAR_END;
}

/** When the reader last did what may scroll. Text that grows and panels that shrink scroll as well, and mean nothing. */
let touched = -Infinity;
for (const name of ['wheel', 'pointerdown', 'touchmove', 'keydown']) {
  textPanel.addEventListener(name, () => { touched = performance.now(); }, { passive: true });
}
textPanel.addEventListener('scroll', () => {
  if (isNearEnd()) {
    follows = true;
  } else if (performance.now() - touched < SCROLLED_MS) {
    follows = false;
    touched = performance.now();
  }
}, { passive: true });

function paintToNewest(run) {
  const away = state.pinned !== null && run.steps[state.pinned];
  toNewest.hidden = !away || state.editing;
  if (away) toNewest.textContent = `step ${state.pinned + 1} · back to the ${run.ended ? 'last (Esc)' : 'newest'}`;
}

toNewest.addEventListener('click', () => { pin(null); textPanel.focus(); });

function unitUnder(event) {
  const box = event.target.closest ? event.target.closest('.u') : null;
  return box && textPanel.contains(box) && state.run ? Number(box.dataset.unit) : -1;
}

/** The step that wrote a unit; null for the prompt's. */
function stepOfUnit(unit) {
  const step = unit.stop - 1 - state.run.nPrompt;
  return unit.image < 0 && step >= 0 && state.run.steps[step] ? step : null;
}

textPanel.addEventListener('pointermove', (event) => {
  const index = unitUnder(event);
  const unit = index < 0 ? null : state.run.units[index];
  if (unit) showTooltip(event, unitWords(unit), () => unitWords(unit));
  else hideTooltip();
  // Browsers tell of a pointer that rests as well, whenever the text below it grows.
  if (index === restsOn) return;
  restsOn = index;
  clearTimeout(restTimer);
  restTimer = setTimeout(() => {
    if (state.pinned === null) change({ hovered: unit ? stepOfUnit(unit) : null });
  }, REST_MS);
});
textPanel.addEventListener('pointerleave', () => {
  restsOn = -1;
  clearTimeout(restTimer);
  hideTooltip();
  change({ hovered: null });
});
textPanel.addEventListener('click', (event) => {
  const index = unitUnder(event);
  if (index < 0) return;
  const step = stepOfUnit(state.run.units[index]);
  if (step !== null) pin(state.pinned === step ? null : step);
});

/** What the tooltip says of a unit under the row shown. */
function unitWords(unit) {
  const { run } = state;
  const shown = shownStep();
  const step = shown === null ? null : run.steps[shown];
  const title = make('strong', 'tip-title', unit.image >= 0 ? unit.text : inline(unit.text) || 'part of a character');
  const facts = [];
  if (unit.image >= 0) {
    if (step?.row) facts.push(['share of the row', percent(step.shares[unit.image])]);
    return [title, factList([...facts, ['positions', `${unit.first} to ${unit.stop - 1}`]])];
  }
  return [title, factList(weightFacts(run, unit.first, unit.stop, step))];
}

/** Weight and rank of positions [first, stop) in the row of a step. */
function weightFacts(run, start, stop, step) {
  const facts = [];
  const own = start >= run.nPrompt ? run.steps[stop - 1 - run.nPrompt] : null;
  if (own) facts.push(['step', `${own.number + 1}`]);
  if (own && !Number.isNaN(own.probability)) facts.push(['its probability', probabilityText(own.probability)]);
  if (step?.row && stop <= step.row.length) {
    facts.push([stop - start > 1 ? 'weight, sum' : 'weight', weightText(sumAsNumpy(step.row, start, stop), 'exact')]);
    if (stop - start === 1 && isUsable(step.row[start])) {
      const { rank, ties } = rankOf(step.row, start);
      facts.push(['rank', `${rank}${ties > 1 ? `–${rank + ties - 1}` : ''} of ${step.row.length}`]);
    }
    if (run.scale.sinks.has(start)) facts.push(['attention sink', `mean ${shortWeight(run.scale.mean(start))}`]);
  }
  if (run.tokens[start].id !== undefined) facts.push(['token id', run.tokens[start].id]);
  facts.push([stop - start > 1 ? 'positions' : 'position', stop - start > 1 ? `${start} to ${stop - 1}` : start]);
  return facts;
}

whenChanged((changed) => {
  const { run } = state;
  if (!run) return;
  if (shownRun !== run) clearText(run);
  const waits = !run.tokens.length && !run.ended;
  document.body.classList.toggle('waiting', waits);
  textPanel.dataset.words = waits ? waitingWords(run) : '';
  if (state.view !== 'stream') return;
  if (run.units.length > MOST_FITTED) fitLetters(run);
  growText(run);
  if (changed.has('size') && run.units.length <= MOST_FITTED) {
    [, textSize] = TEXT_SIZES;
    textPanel.style.fontSize = `${textSize}px`;
  }
  if (['step', 'prompt', 'size', 'view', 'room'].some((name) => changed.has(name))) fitLetters(run);
  paintChunks(run);
  paintToNewest(run);
  if (state.pinned !== null) {
    if (changed.has('pinned')) showStep(run, state.pinned);
  } else if (follows && state.hovered === null && (changed.has('step') || changed.has('prompt') || changed.has('view') || changed.has('pinned') || changed.has('room'))) {
    textPanel.scrollTop = textPanel.scrollHeight;
  }
});

/** Scrolls to the box of a step. */
function showStep(run, number) {
  const own = boxesOf[run.unitOf[run.steps[number].position]];
  if (!own) return;
  const box = own.boxes[0].getBoundingClientRect();
  const panel = textPanel.getBoundingClientRect();
  if (box.top < panel.top + 30) textPanel.scrollTop += box.top - panel.top - 60;
  else if (box.bottom > panel.bottom - 30) textPanel.scrollTop += box.bottom - panel.bottom + 60;
}

// What is told of a step below may take more room than before.
new ResizeObserver(() => touch('room')).observe(textPanel);
