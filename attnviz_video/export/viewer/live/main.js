// Puts the page together: theme, keys, the first request.

const narrow = matchMedia('(max-width: 820px)');
const sideToggle = document.getElementById('side-toggle');
const HELP = [
  ['Ctrl + Enter', 'answer the prompt'], ['Esc', 'stop; else let go of the step'], ['← →', 'one step back or on'],
  ['p', 'hide or show the prompt'], ['g', 'patch grid'], ['h', 'hide or show the overlay'], ['t', 'light or dark'],
  ['hover', 'exact weight and rank; a token of the answer shows its own row'], ['click a token of the answer', 'stay at its step'],
  ['drop or paste', 'add images'],
];

const roomy = matchMedia('(min-width: 1600px) and (min-height: 800px)');
/** Whether the prompt was hidden by the page, for the report, and not by its reader. */
let gaveWay = false;

function showSide(shows) {
  gaveWay = false;
  document.body.classList.toggle('no-side', !shows);
  sideToggle.setAttribute('aria-expanded', String(shows));
  touch('size');
}

// The report takes the whole window where both have no room beside each other.
whenChanged((changed) => {
  if (!changed.has('view')) return;
  const hidden = document.body.classList.contains('no-side');
  if (state.view === 'report' && !hidden && !roomy.matches && !narrow.matches) {
    showSide(false);
    gaveWay = true;
  } else if (state.view !== 'report' && gaveWay) {
    showSide(true);
  }
});

function toggleTheme() {
  const theme = isDark() ? 'light' : 'dark';
  document.documentElement.dataset.theme = theme;
  kept.write('theme', theme);
  touch('theme');
}

function buildHelp() {
  const box = document.getElementById('help-box');
  const list = make('dl', 'facts help');
  for (const [key, what] of HELP) list.append(make('dt', '', make('kbd', '', key)), make('dd', '', what));
  box.append(make('h2', '', 'Keys and mouse'), list, make('p', 'soft',
    'Colours: weights of the shown layer, mean over its heads; 0 to the 99.5th percentile of all steps so far, sinks left out. Nothing is renormalised.'),
  button('close', 'Close', () => box.close(), 'wide'));
}

/** What stands on an empty stage. */
function paintWelcome() {
  if (state.gone) {
    document.getElementById('welcome').replaceChildren(make('div', '', make('h2', '', 'This run is not here any more'),
      make('p', 'soft', 'It was deleted, or newer runs have taken its place. Ask anew, or choose one of the runs on the left.')));
    return;
  }
  const steps = [
    ['Ask.', 'Write a prompt, drop images if the model reads them, press Ctrl + Enter.'],
    ['Watch.', 'Every token comes with where the model looked to write it: over the text and over the images.'],
    ['Study.', 'Point at a token for its row; afterwards the report, the trace and a video of the answer are here.'],
  ];
  document.getElementById('welcome').replaceChildren(make('div', '', make('h2', '', 'See where a model looks while it writes'),
    make('dl', '', ...steps.flatMap(([name, words]) => [make('dt', '', name), make('dd', '', words)]))));
}

const KEYS = {
  ArrowLeft: () => walk(-1),
  ArrowRight: () => walk(1),
  p: () => showSide(document.body.classList.contains('no-side')),
  g: () => change({ grid: !state.grid }),
  h: () => change({ opacity: state.opacity > 0 ? 0 : 1 }),
  t: toggleTheme,
  '?': () => document.getElementById('help-box').showModal(),
};

/** Closes what is folded out, unless `within` is inside it; whether there was something. */
function foldIn(within = null) {
  const open = [...document.querySelectorAll('details[open]')].filter((own) => !own.contains(within));
  for (const own of open) own.open = false;
  return open.length > 0;
}

addEventListener('pointerdown', (event) => foldIn(event.target));

function escape() {
  const { run } = state;
  if (cancelSending() || foldIn()) return;
  if (state.editing) change({ editing: false });
  else if (run && !run.ended) stopRun();
  else pin(null);
}

addEventListener('keydown', (event) => {
  if (isComposing(event) || event.defaultPrevented || document.querySelector('dialog[open]')) return;
  if (event.key === 'Escape') {
    escape();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (['INPUT', 'TEXTAREA', 'SELECT', 'VIDEO'].includes(event.target.tagName)) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

/** The numbers of the page for tests: nothing of it can change anything. */
function expose() {
  window.attnvizLive = Object.freeze({
    scale: () => ({ ...state.run?.scale?.tops }),
    sinks: () => [...(state.run?.scale?.sinks ?? [])],
    weights: (step) => [...(state.run?.steps[step]?.row ?? [])],
    tokens: () => state.run?.tokens.map((token) => token.text) ?? [],
  });
}

function start() {
  const theme = kept.read('theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  const colormap = kept.read('colormap');
  if (colormap in looks.maps) state.colormap = colormap;
  promptBox.value = kept.read('prompt', 'sessionStorage') ?? '';
  sideToggle.addEventListener('click', KEYS.p);
  document.getElementById('theme').addEventListener('click', toggleTheme);
  document.getElementById('help').addEventListener('click', KEYS['?']);
  buildHelp();
  whenChanged((changed) => { if (changed.has('gone') || changed.has('start')) paintWelcome(); });
  expose();
  whenChanged(renewTooltip);
  new ResizeObserver(() => touch('size')).observe(document.getElementById('stage'));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => touch('theme'));
  refresh();
  openFromAddress();
  // On a screen without keys the cursor would call one up.
  if (!state.run && matchMedia('(hover: hover)').matches) promptBox.focus();
  touch('start');
}

start();
