// What the user sets: tabs, selectors, transport, keys.

const VIEWS = [['read', data.pictures.length ? 'Text & images' : 'Text'], ['model', 'Layers × heads'], ['heads', 'Token lines'], ['facts', 'Facts']];
const SPEEDS = [1, 2, 4, 8, 16];
const HELP = [
  ['← →', 'one step back or on'], ['space', 'play or pause'], ['Home, End', 'first and last step'],
  ['↑ ↓', 'layer above or below; in “Layers × heads” one row up or down'], ['[ ]', 'head before or after'], ['1 2 3 4', 'the four views'],
  ['r', 'row: predicting or reading'], ['s', 'scale: whole answer or this step'], ['g', 'patch grid'],
  ['h', 'hide or show the overlay'], ['t', 'light or dark'], ['Esc', 'unpin'],
  ['hover', 'exact weight, rank, token id; of the blue token its candidates'],
  ['click a token', 'pin it, and go to its step'], ['click a patch', 'which tokens read it most'],
  ['drag over tokens', 'mean of their rows'],
];

/** Buttons of which one is pressed. */
function segmented(label, choices, current, choose) {
  const group = make('span', 'segmented');
  group.setAttribute('role', 'group');
  group.setAttribute('aria-label', label);
  for (const [value, text, title] of choices) {
    const one = button(text, title || label, () => choose(value));
    one.dataset.value = value;
    group.append(one);
  }
  const press = () => {
    for (const one of group.children) one.setAttribute('aria-pressed', String(one.dataset.value === String(current())));
  };
  press();
  whenChanged(press);
  return group;
}

function select(label, options, current, choose) {
  const list = make('select');
  list.setAttribute('aria-label', label);
  const fill = () => list.replaceChildren(...options().map(([value, text, disabled, title]) => {
    const option = new Option(text, value);
    option.title = title || '';
    option.disabled = Boolean(disabled);
    return option;
  }));
  fill();
  list.value = String(current());
  list.addEventListener('change', () => { choose(list.value); list.blur(); });
  whenChanged((changed) => {
    if (changed.has('layer')) fill();
    list.value = String(current());
  });
  return list;
}

function recordedLayers() {
  return [...new Set([...data.meanLayers, ...data.headLayers])].sort((one, other) => one - other);
}

function headOptions(layer) {
  const options = [['mean', 'mean over heads', !canShow(layer, 'mean')], ['max', 'max over heads', !canShow(layer, 'max')]];
  options.push(['rollout', 'rollout from layer 0', !canShow(layer, 'rollout'), data.noRollout]);
  for (let head = 0; head < data.nHeads; head++) options.push([String(head), `head ${head}`, !canShow(layer, String(head))]);
  return options;
}

function setLayer(layer) {
  const head = canShow(layer, state.head) ? state.head : canShow(layer, 'mean') ? 'mean' : String(data.heads[0]);
  change({ layer, head });
}

function stepLayer(by) {
  const layers = recordedLayers();
  const place = layers.indexOf(state.layer) + by;
  if (place >= 0 && place < layers.length) setLayer(layers[place]);
}

function stepHead(by) {
  const options = headOptions(state.layer).filter(([, , disabled]) => !disabled).map(([value]) => value);
  const place = options.indexOf(state.head) + by;
  if (place >= 0 && place < options.length) change({ head: options[place] });
}

function field(name, ...content) {
  return make('label', 'field', make('span', 'soft', name), ...content);
}

function check(label, name) {
  const box = make('input');
  box.type = 'checkbox';
  box.checked = state[name];
  box.addEventListener('change', () => change({ [name]: box.checked }));
  whenChanged(() => { box.checked = state[name]; });
  return make('label', 'check', box, ` ${label}`);
}

function range(label, least, most, step, name) {
  const input = make('input');
  Object.assign(input, { type: 'range', min: least, max: most, step, value: state[name] });
  input.setAttribute('aria-label', label);
  const output = make('output', 'number', String(state[name]));
  input.addEventListener('input', () => change({ [name]: Number(input.value) }));
  whenChanged(() => { input.value = state[name]; output.textContent = String(state[name]); });
  return field(label, input, output);
}

function buildControls() {
  const layers = recordedLayers();
  const layer = select('Layer', () => layers.map((own) => [own, `layer ${own}${(data.layerKinds[own] || 'full') === 'full' ? '' : ` · ${data.layerKinds[own]}`}`]),
    () => state.layer, (value) => setLayer(Number(value)));
  layer.id = 'layer';
  const head = select('Heads', () => headOptions(state.layer), () => state.head, (value) => change({ head: value }));
  head.id = 'head';
  const convention = segmented('Which row is shown', [
    ['predicting', 'predicting', 'The row that produced the blue token'],
    ['reading', 'reading', 'The row of the blue token itself'],
  ], () => state.convention, (value) => change({ convention: value }));
  const scale = segmented('Colour scale', [
    ['shared', isEncoding ? 'whole text' : 'whole answer', `One scale for all ${stepWord}s`],
    ['per_frame', `this ${stepWord}`, `Every ${stepWord} up to its own maximum`],
  ], () => state.scale, (value) => change({ scale: value }));
  const more = make('details', 'more');
  more.append(make('summary', '', 'More'), make('div', 'popover',
    field('Colours', select('Colours', () => Object.keys(looks.maps).map((name) => [name, name.replace('_', ' → ')]), () => state.colormap, (value) => change({ colormap: value }))),
    field('Attention sinks', segmented('Attention sinks', [['raw', 'marked'], ['mask', 'masked'], ['relative', 'relative']], () => state.sinks, (value) => change({ sinks: value }))),
    field('Text and images', segmented('Scales', [['region', 'a scale each'], ['joint', 'one scale']], () => state.scope, (value) => change({ scope: value }))),
    range('Exponent γ', 0.2, 2, 0.1, 'gamma'),
    isEncoding ? '' : field('Prompt', segmented('Prompt', [['full', 'whole'], ['phrase', 'from phrase'], ['none', 'hidden']], () => state.showPrompt, (value) => change({ showPrompt: value }))),
    ...(data.pictures.length ? [
      range('Overlay', 0, 1.6, 0.1, 'opacity'),
      field('Its opacity', segmented('Its opacity', [['weight', 'by weight'], ['flat', 'even']], () => state.heatAlpha, (value) => change({ heatAlpha: value }))),
      make('div', 'field', check('patch grid', 'grid'), data.boxes.length ? check('true boxes', 'boxes') : null),
    ] : []),
    isEmbedded ? button('Keys and mouse', 'Keys and mouse (?)', showHelp) : ''));
  addEventListener('pointerdown', (event) => { if (more.open && !more.contains(event.target)) more.open = false; });
  document.getElementById('controls').replaceChildren(
    make('span', 'stepper', button('‹', 'Layer below (↓)', () => stepLayer(-1)), layer, button('›', 'Layer above (↑)', () => stepLayer(1))),
    make('span', 'stepper', button('‹', 'Head before ([)', () => stepHead(-1)), head, button('›', 'Head after (])', () => stepHead(1))),
    isEncoding ? '' : make('span', 'field inline', make('span', 'soft', 'row'), convention), make('span', 'field inline', make('span', 'soft', 'scale'), scale), more);
}

function buildTabs() {
  const tabs = document.getElementById('tabs');
  VIEWS.forEach(([view, name], number) => {
    const tab = button(name, `${name} (${number + 1})`, () => change({ view }));
    tab.setAttribute('role', 'tab');
    tab.dataset.view = view;
    tabs.append(tab);
  });
  // In a frame one line of its own would be taken from the text.
  if (isEmbedded) document.getElementById('controls').prepend(tabs);
  whenChanged(() => {
    for (const tab of tabs.children) tab.setAttribute('aria-selected', String(tab.dataset.view === state.view));
  });
}

function buildTransport() {
  const scrub = document.getElementById('scrub');
  scrub.max = data.frames.length - 1;
  scrub.addEventListener('input', () => { change({ playing: false }); goTo(Number(scrub.value)); });
  const acts = { first: () => goTo(0), back: () => goTo(state.frame - 1), play: togglePlay, forward: () => goTo(state.frame + 1) };
  for (const [id, act] of Object.entries(acts)) document.getElementById(id).addEventListener('click', act);
  const speed = document.getElementById('speed');
  for (const value of SPEEDS) speed.append(new Option(`${value} / s`, value, false, value === state.speed));
  speed.addEventListener('change', () => change({ speed: Number(speed.value) }));
  const label = document.getElementById('step-label');
  const play = document.getElementById('play');
  whenChanged(() => {
    scrub.value = state.frame;
    label.textContent = `${state.frame + 1} / ${data.frames.length}`;
    play.querySelector('path').setAttribute('d', state.playing ? 'M4 2.5h3v11H4zM9 2.5h3v11H9z' : 'M4 2.5v11L13.5 8z');
    play.setAttribute('aria-label', state.playing ? 'Pause' : 'Play');
    play.classList.toggle('on', state.playing);
  });
}

let playedAt = 0;

function togglePlay() {
  if (state.playing) { change({ playing: false }); return; }
  if (state.frame === data.frames.length - 1) goTo(0);
  change({ playing: true, brushed: [] });
  playedAt = performance.now();
  requestAnimationFrame(playOn);
}

function playOn(now) {
  if (!state.playing) return;
  const steps = Math.floor(((now - playedAt) / 1000) * state.speed);
  if (steps > 0) {
    playedAt += (steps * 1000) / state.speed;
    goTo(state.frame + steps);
    if (state.frame === data.frames.length - 1) { change({ playing: false }); return; }
  }
  requestAnimationFrame(playOn);
}

function toggleTheme() {
  document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
  touch('theme');
}

function buildHelp() {
  const box = document.getElementById('help-box');
  const list = make('dl', 'facts help');
  for (const [key, what] of HELP) list.append(make('dt', '', make('kbd', '', key)), make('dd', '', what));
  box.append(make('h2', '', 'Keys and mouse'), list, make('p', 'soft', 'Weights are those of the trace; nothing is renormalised.'), button('close', 'Close', () => box.close(), 'wide'));
  document.getElementById('help').addEventListener('click', showHelp);
  document.getElementById('theme').addEventListener('click', toggleTheme);
}

function showHelp() {
  document.getElementById('help-box').showModal();
}

/** ↑ and ↓: a higher and a lower layer; where the layers are rows on the page, the row above and the one below. */
function stepUp(by) {
  stepLayer(state.view === 'model' ? -by : by);
}

const KEYS = {
  ArrowLeft: () => { change({ playing: false }); goTo(state.frame - 1); },
  ArrowRight: () => { change({ playing: false }); goTo(state.frame + 1); },
  ArrowUp: () => stepUp(1),
  ArrowDown: () => stepUp(-1),
  Home: () => goTo(0),
  End: () => goTo(data.frames.length - 1),
  ' ': togglePlay,
  '[': () => stepHead(-1),
  ']': () => stepHead(1),
  r: () => isEncoding || change({ convention: state.convention === 'predicting' ? 'reading' : 'predicting' }),
  s: () => change({ scale: state.scale === 'shared' ? 'per_frame' : 'shared' }),
  g: () => change({ grid: !state.grid }),
  h: () => change({ opacity: state.opacity > 0 ? 0 : 1 }),
  t: toggleTheme,
  '?': showHelp,
  Escape: clearMarks,
};

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  const tag = event.target.tagName;
  const isField = tag === 'SELECT' || (tag === 'INPUT' && event.target.id !== 'scrub');
  if (isField || (tag === 'BUTTON' && event.key === ' ' && event.target.id !== 'play')) return;
  const view = VIEWS[Number(event.key) - 1];
  const act = view && /^[1-4]$/.test(event.key) ? () => change({ view: view[0] }) : KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
