// What is shown now, and who wants to know when it changes.

const first = data.first;

/** What the address asks for after its "#". */
const fragment = new URLSearchParams(location.hash.slice(1));
const isEmbedded = fragment.has('embedded');

const state = {
  view: 'read',
  frame: 0,
  playing: false,
  speed: 4,
  layer: first.layer,
  head: first.head,
  convention: first.convention,
  scale: first.scale,
  scope: first.scope,
  gamma: first.gamma,
  sinks: first.sinks,
  colormap: first.colormap,
  showPrompt: first.showPrompt,
  heatAlpha: first.heatAlpha,
  opacity: 1,
  grid: first.grid,
  boxes: false,
  /** Positions that are followed as keys. */
  pinned: new Set(),
  /** Frames (numbers) whose rows are averaged instead of showing the current one. */
  brushed: [],
  /** The `Analysis` of the layer, head and settings; null while rows are inflated. */
  analysis: null,
  /** Why there is none. */
  problem: '',
  /** Whether rows of other settings than those of `analysis` are being read. */
  pending: false,
};

/** Settings on which the sinks or the scale depend. */
const ANALYSED = ['layer', 'head', 'convention', 'scale', 'scope', 'sinks', 'showPrompt'];

const listeners = [];
let dirty = null;
let generation = 0;

/** `paint(changed)` is called once per animation frame with the names that changed since the last call. */
function whenChanged(paint) {
  listeners.push(paint);
}

// First of all: a view has no size while it is hidden.
whenChanged(() => {
  for (const view of ['read', 'model', 'heads', 'facts']) {
    document.getElementById(`view-${view}`).hidden = view !== state.view;
  }
});

function change(patch) {
  const changed = Object.keys(patch).filter((name) => state[name] !== patch[name]);
  Object.assign(state, patch);
  if (!changed.length) return;
  if (changed.some((name) => ANALYSED.includes(name))) analyse();
  touch(...changed);
}

function touch(...names) {
  if (dirty === null) {
    dirty = new Set();
    requestAnimationFrame(flush);
  }
  for (const name of names) dirty.add(name);
}

function flush() {
  const changed = dirty;
  dirty = null;
  for (const paint of listeners) paint(changed);
  document.documentElement.dataset.painted = `${state.layer} ${state.head} ${state.frame} ${state.analysis && !state.pending ? 'ready' : 'loading'}`;
  document.body.classList.toggle('pending', state.pending);
}

/** Load the rows that the settings ask for and work out what is painted of them. */
async function analyse() {
  const own = ++generation;
  const settings = Object.fromEntries(ANALYSED.map((name) => [name, state[name]]));
  if (!canShow(state.layer, state.head)) {
    Object.assign(state, { analysis: null, pending: false, problem: missingRows(state.layer, state.head) });
    touch('analysis');
    return;
  }
  let found = null;
  let problem = '';
  state.pending = true;
  try {
    found = new Analysis(await rowsOf(settings.layer, settings.head), settings);
    if (isFirst(settings) && first.tops) {
      const [text, image, textClipped, imageClipped] = first.tops;
      found.tops = { text, image, textClipped, imageClipped };
    }
  } catch (error) {
    problem = `These rows cannot be read (${error.message}); the file is damaged, or this browser is too old.`;
  }
  if (own !== generation) return;
  Object.assign(state, { analysis: found, problem, pending: false });
  touch('analysis');
}

/** Whether the settings are those that the page was made with, whose scale is that of the video. */
function isFirst(settings) {
  return ANALYSED.every((name) => settings[name] === first[name]);
}

function missingRows(layer, head) {
  if (head === 'rollout') return `No rollout: ${data.noRollout}.`;
  if (!data.meanLayers.includes(layer) && !data.recordedHeadLayers.includes(layer)) {
    return `Layer ${layer} was not recorded; record it with --layers ${layer}.`;
  }
  if (data.recordedHeadLayers.includes(layer) && !data.headLayers.includes(layer)) {
    return `Single heads of layer ${layer} are not in this page; make it again with --report_layers ${layer}.`;
  }
  return `Head ${head} of layer ${layer} was not recorded; record it with --heads all --layers ${layer}.`;
}

/** The rows behind what is painted: the current frame's, or those of the brushed tokens. */
function shownFrames() {
  return state.brushed.length ? state.brushed : [state.frame];
}

/** The row that is painted, as recorded; null where there is none. */
function shownRow() {
  if (!state.analysis) return null;
  const rows = shownFrames().map((number) => state.analysis.row(number)).filter((row) => row !== null);
  if (!rows.length) return null;
  return rows.length === 1 ? rows[0] : meanRow(rows);
}

/** The scale that goes with it. */
function shownScale() {
  if (!state.analysis) return null;
  if (!state.brushed.length || state.analysis.tops) return state.analysis.scale(state.frame);
  return state.brushed.map((number) => state.analysis.scale(number)).reduce((one, other) => ({
    text: Math.max(one.text, other.text),
    image: Math.max(one.image, other.image),
    textClipped: one.textClipped || other.textClipped,
    imageClipped: one.imageClipped || other.imageClipped,
  }));
}

function currentPosition() {
  return nPrompt + data.frames[state.frame];
}

function goTo(frame) {
  change({ frame: Math.max(0, Math.min(data.frames.length - 1, frame)), brushed: [] });
}

function togglePin(position) {
  const pinned = new Set(state.pinned);
  if (!pinned.delete(position)) pinned.add(position);
  change({ pinned });
}

/** The text of a position as its display unit shows it. */
function textOf(position) {
  if (imageOf[position] >= 0) return patchName(position);
  return data.tokens.pieces[position] ?? '';
}

function patchName(position) {
  const image = imageOf[position];
  const patch = patchOf[position];
  const several = data.images.length > 1 ? `image ${image + 1}, ` : '';
  for (const picture of data.pictures) {
    if (picture.image !== image) continue;
    for (const grid of picture.grids) {
      const place = patch - grid.first;
      if (place < 0 || place >= grid.rows * grid.columns) continue;
      const area = picture.area ? `${picture.area}, ` : '';
      return `${several}${area}row ${Math.floor(place / grid.columns) + 1}, column ${(place % grid.columns) + 1}`;
    }
  }
  return `${several}patch ${patch}`;
}
