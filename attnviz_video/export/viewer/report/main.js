// Puts the page together and shows the first step.

function buildTitle() {
  const title = data.title ?? (data.question.trim() || data.sample);
  document.getElementById('title').textContent = title;
  document.getElementById('title').title = title;
  const badges = [];
  if (data.status !== 'complete') badges.push(make('span', 'badge', data.status === 'failed' ? 'recording failed' : 'recording incomplete'));
  if (isEncoding) badges.push(make('span', 'badge', 'one pass over a text'));
  if (data.kind === 'replay') badges.push(make('span', 'badge', 'replayed answer'));
  document.getElementById('subtitle').replaceChildren(`${data.model} · sample ${data.sample} · ${data.frames.length} ${stepWord}s `, ...badges);
}

/** In a frame of another page: `#embedded` leaves out what that page has itself, `#embedded&theme=dark` (or light) is in
 * its colours from the first moment on.
 */
function dressAsAsked() {
  const theme = fragment.get('theme');
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
  document.documentElement.classList.toggle('embedded', isEmbedded);
}

/** The numbers of the page for tests: nothing of it can change anything. */
function expose() {
  const scaleOf = async (settings) => {
    const asked = { ...Object.fromEntries(ANALYSED.map((name) => [name, state[name]])), ...settings };
    const own = new Analysis(await rowsOf(asked.layer, asked.head), asked);
    const frames = data.frames.map((_, number) => own.scale(number));
    return { sinks: own.sinks, scale: frames, mean: [...own.mean] };
  };
  const weightsOf = async (layer, head, step) => [...(await rowsOf(layer, head)).row(step)];
  window.attnviz = Object.freeze({ scaleOf, weightsOf, goTo, state: () => ({ ...state, analysis: null, pinned: [...state.pinned] }) });
}

function start() {
  dressAsAsked();
  buildTitle();
  buildControls();
  buildTabs();
  buildTransport();
  buildText();
  buildPictures();
  buildSides();
  buildModelBar();
  buildHelp();
  whenChanged(renewTooltip);
  expose();
  new ResizeObserver(() => touch('size')).observe(document.getElementById('main'));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => touch('theme'));
  touch('view', 'frame');
  loadImages();
  analyse();
  loadScalars().then(() => { stripKey = ''; touch('scalars'); });
}

if (typeof DecompressionStream === 'undefined') {
  const old = 'This browser cannot inflate the rows (no DecompressionStream); open the report in one of 2023 or later.';
  document.getElementById('main').replaceChildren(make('p', 'notice', old));
} else {
  start();
}
