// The text panel: prompt and answer, every token on a box in the colour of its weight.

const textPanel = document.getElementById('text');
const BAR_HEIGHT = 4;
/** Least and largest size of letters in pixels, and the number of units above which no size is tried. */
const TEXT_SIZES = [17, 27];
const MOST_FITTED = 1200;
/** Per display unit: its elements, and what they look like now. */
let unitBoxes = [];
let shownUnits = [];
let firstOfPosition = new Map();
let dragStart = null;
let dragged = false;

function buildText() {
  shownUnits = data.units[state.showPrompt];
  unitBoxes = [];
  firstOfPosition = new Map();
  const sections = [];
  let section = null;
  shownUnits.forEach((unit, index) => {
    const segment = unit[5];
    if (!section || section.dataset.segment !== segment) {
      section = make('div', `section section-${segment}`, make('h2', '', data.segmentNames[segment]));
      section.dataset.segment = segment;
      section.append(make('div', 'flow'));
      sections.push(section);
    }
    const kind = unit[4] >= 0 ? 'chip' : unit[3] ? 'special' : '';
    // Special tokens of a chat template stand close; those of an encoder are words of its text.
    const isWord = isEncoding && (kind || (index && shownUnits[index - 1][3] && unit[2][0] !== ' '));
    if (isWord && section.lastChild.childNodes.length) section.lastChild.append(' ');
    const boxes = appendUnit(section.lastChild, unit[2], kind, index);
    unitBoxes.push({ boxes, look: null });
    for (let position = unit[0]; position < unit[1]; position++) firstOfPosition.set(position, index);
  });
  textPanel.replaceChildren(...sections);
}

/** The largest letters with which all of the text is in sight; the smallest where that cannot be. */
function fitText() {
  const [least, most] = TEXT_SIZES;
  let size = least;
  if (shownUnits.length < MOST_FITTED && getComputedStyle(textPanel).maxHeight === 'none' && textPanel.clientHeight > 0) {
    for (let tried = most; tried > least; tried--) {
      textPanel.style.fontSize = `${tried}px`;
      if (textPanel.scrollHeight <= textPanel.clientHeight) { size = tried; break; }
    }
  }
  textPanel.style.fontSize = `${size}px`;
}

function paintText() {
  const analysis = state.analysis;
  const row = analysis ? analysis.treated(shownRow()) : null;
  const scale = shownScale();
  const styles = tokenStyles();
  const brushed = new Set(state.brushed.map((number) => nPrompt + data.frames[number]));
  const current = currentPosition();
  const last = brushed.size ? Math.max(...brushed) : current;
  shownUnits.forEach((unit, index) => {
    const { level, kind } = unitLook(unit, row, scale, { brushed, current, last });
    const step = kind === 'level' ? stepOf(level) : -1;
    const bar = kind === 'level' ? Math.round(level * BAR_HEIGHT) : 0;
    const marks = (isSinkUnit(unit) ? 's' : '') + (isPinnedUnit(unit) ? 'p' : '');
    const look = `${kind}${step}/${bar}/${marks}`;
    const own = unitBoxes[index];
    if (own.look === look) return;
    own.look = look;
    for (const box of own.boxes) {
      box.dataset.look = kind;
      box.style.backgroundColor = step >= 0 ? styles.box[step] : '';
      box.style.color = step >= 0 ? styles.ink[step] : '';
      box.style.boxShadow = bar ? `inset 0 -${bar}px 0 var(--token-bar)` : '';
      box.classList.toggle('sink', marks.includes('s') && box === own.boxes[0]);
      box.classList.toggle('pinned', marks.includes('p'));
    }
  });
}

function unitLook(unit, row, scale, { brushed, current, last }) {
  const [unitStart, unitStop, , , image] = unit;
  if (image >= 0) return { level: 0, kind: 'chip' };
  for (const position of brushed) if (position >= unitStart && position < unitStop) return { level: 0, kind: 'brushed' };
  if (!brushed.size && current >= unitStart && current < unitStop) return { level: 0, kind: 'current' };
  if (unitStop > last && !isEncoding) return { level: 0, kind: 'later' };
  if (!row) return { level: 0, kind: 'bare' };
  if (unitStop > row.length) return { level: 0, kind: 'later' };
  const level = state.analysis.level(sumAsNumpy(row, unitStart, unitStop), scale.text);
  return Number.isNaN(level) ? { level: 0, kind: 'nan' } : { level, kind: 'level' };
}

function isSinkUnit(unit) {
  if (!state.analysis || unit[4] >= 0) return false;
  return state.analysis.sinks.some((sink) => sink.position >= unit[0] && sink.position < unit[1]);
}

function isPinnedUnit(unit) {
  if (unit[4] >= 0) return false;
  for (const position of state.pinned) if (position >= unit[0] && position < unit[1]) return true;
  return false;
}

/** Keep the current token in sight while the steps go by. */
function followCurrent() {
  const index = firstOfPosition.get(currentPosition());
  if (index === undefined) return;
  const box = unitBoxes[index].boxes[0].getBoundingClientRect();
  const panel = textPanel.getBoundingClientRect();
  const margin = Math.min(60, panel.height / 5);
  if (box.top < panel.top + margin) textPanel.scrollTop += box.top - panel.top - margin;
  else if (box.bottom > panel.bottom - margin) textPanel.scrollTop += box.bottom - panel.bottom + margin;
}

function unitUnder(event) {
  const box = event.target.closest ? event.target.closest('.u') : null;
  return box && textPanel.contains(box) ? Number(box.dataset.unit) : -1;
}

/** The frames of the answer tokens among units `one` to `other`. */
function framesBetween(one, other) {
  const frames = [];
  for (let index = Math.min(one, other); index <= Math.max(one, other); index++) {
    const [unitStart, unitStop, , , image] = shownUnits[index];
    if (image >= 0) continue;
    for (let position = unitStart; position < unitStop; position++) {
      const frame = data.frames.indexOf(position - nPrompt);
      if (frame >= 0 && state.analysis && state.analysis.rowSteps[frame] !== null) frames.push(frame);
    }
  }
  return frames;
}

function brushUnits(one, other) {
  const pinned = new Set();
  for (let index = Math.min(one, other); index <= Math.max(one, other); index++) {
    const unit = shownUnits[index];
    if (unit[4] < 0) for (let position = unit[0]; position < unit[1]; position++) pinned.add(position);
  }
  change({ brushed: framesBetween(one, other), pinned, playing: false });
}

function clickUnit(index) {
  const unit = shownUnits[index];
  if (unit[4] >= 0) return;
  const last = unit[1] - 1;
  const frame = data.frames.indexOf(last - nPrompt);
  const wasPinned = isPinnedUnit(unit) && !state.brushed.length;
  const pinned = new Set(state.brushed.length ? [] : state.pinned);
  for (let position = unit[0]; position < unit[1]; position++) {
    if (wasPinned) pinned.delete(position);
    else pinned.add(position);
  }
  change({ pinned, brushed: [] });
  if (!wasPinned && frame >= 0) goTo(frame);
}

textPanel.addEventListener('pointerdown', (event) => {
  if (event.button !== 0 || event.pointerType === 'touch') return;
  const index = unitUnder(event);
  dragStart = index >= 0 ? index : null;
  dragged = false;
});
textPanel.addEventListener('pointermove', (event) => {
  const index = unitUnder(event);
  if (dragStart !== null && event.buttons & 1) {
    event.preventDefault();
    if (index >= 0 && index !== dragStart) dragged = true;
    if (index >= 0 && dragged) brushUnits(dragStart, index);
  }
  if (index < 0) hideTooltip();
  else showTooltip(event, unitFacts(shownUnits[index]), () => unitFacts(shownUnits[index]));
});
textPanel.addEventListener('pointerleave', hideTooltip);
textPanel.addEventListener('dragstart', (event) => event.preventDefault());
addEventListener('pointerup', () => { dragStart = null; });
textPanel.addEventListener('click', (event) => {
  const index = unitUnder(event);
  if (index >= 0 && !dragged) clickUnit(index);
  dragged = false;
});

whenChanged((changed) => {
  if (changed.has('showPrompt')) buildText();
  if (changed.has('colormap') || changed.has('theme')) unitBoxes.forEach((own) => { own.look = null; });
  if (state.view === 'read' && (changed.has('showPrompt') || changed.has('size') || changed.has('view'))) fitText();
  paintText();
  if (changed.has('frame') || changed.has('showPrompt')) followCurrent();
});
