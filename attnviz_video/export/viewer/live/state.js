// What the page shows now, and who wants to know when it changes.

const data = JSON.parse(document.getElementById('data').textContent);

const state = {
  colormap: data.first.colormap,
  heatAlpha: data.first.heatAlpha,
  opacity: 1,
  grid: data.first.grid,
  /** What the server said last of itself, its queue and its runs; null before. */
  server: null,
  /** The `LiveRun` on the stage. */
  run: null,
  /** The step whose row is shown while the pointer is on its token, and the one that was clicked. */
  hovered: null,
  pinned: null,
  /** "stream", "report" or "video". */
  view: 'stream',
  editing: false,
  /** Whether the run of the address is not there any more. */
  gone: false,
};

const listeners = [];
let dirty = null;

/** `paint(changed)` is called once per animation frame with the names that changed since the last call. */
function whenChanged(paint) {
  listeners.push(paint);
}

// First of all: what is hidden has no size.
whenChanged(() => {
  const { run, view } = state;
  document.getElementById('welcome').hidden = Boolean(run);
  document.getElementById('stage-head').hidden = !run;
  for (const name of ['stream', 'report', 'video']) document.getElementById(name).hidden = !run || view !== name;
  document.getElementById('edit').hidden = !state.editing;
  document.getElementById('text').hidden = state.editing;
});

function change(patch) {
  const changed = Object.keys(patch).filter((name) => state[name] !== patch[name]);
  Object.assign(state, patch);
  if (changed.length) touch(...changed);
}

function touch(...names) {
  if (dirty === null) {
    dirty = new Set();
    // A tab in the background paints nothing, but its numbers go on.
    if (document.hidden) setTimeout(flush, 250);
    else requestAnimationFrame(flush);
  }
  for (const name of names) dirty.add(name);
}

function flush() {
  const changed = dirty;
  if (changed === null) return;
  dirty = null;
  for (const paint of listeners) paint(changed);
  const { run } = state;
  document.documentElement.dataset.painted = run ? `${run.id} ${run.status} ${shownStep() ?? '-'}` : 'no run';
}

document.addEventListener('visibilitychange', () => { if (dirty !== null) flush(); });

/** The step whose row is shown: under the pointer, else the clicked one, else the newest; null where there is none. */
function shownStep() {
  const { run } = state;
  if (!run || run.newest < 0) return null;
  for (const step of [state.hovered, state.pinned]) if (step !== null && run.steps[step]) return step;
  return run.newest;
}

/** Shows `step` until the newest is asked for again; null asks for it. */
function pin(step) {
  change({ pinned: step, hovered: null });
}

/** What is kept for the next visit ("localStorage") or for a reload of this tab ("sessionStorage"); a browser may forbid it. */
const kept = {
  read(name, place = 'localStorage') {
    try { return window[place].getItem(`attnviz ${name}`); } catch { return null; }
  },
  write(name, value, place = 'localStorage') {
    try { window[place].setItem(`attnviz ${name}`, value); } catch { /* it is asked for again then */ }
  },
};

/** The name of this tab, by which the server tells whose runs wait. */
const tabName = kept.read('tab', 'sessionStorage') ?? Math.random().toString(36).slice(2, 12);
kept.write('tab', tabName, 'sessionStorage');
