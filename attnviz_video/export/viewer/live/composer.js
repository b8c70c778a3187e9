// What is asked: prompt, images, settings.

const promptBox = document.getElementById('prompt');
const composerTrouble = document.getElementById('composer-trouble');
const sendingLine = document.getElementById('sending');
const putAsideLine = document.getElementById('put-aside');
const beginningLine = document.getElementById('beginning');
/** After so long it is said that something is being sent. */
const SAID_MS = 400;

/** Ends the request that is being sent; null where none is. */
let sending = null;
/** The tokens that the answer shall begin with, from a run that was begun so: {ids, text}. */
let beginning = null;
/** What stood in the composer before a run was put there, and what was sent from it last. */
let putAside = null;
let lastSent = '';

const fields = {};

function complain(text) {
  composerTrouble.textContent = text ? sentence(text) : '';
  composerTrouble.hidden = !text;
  if (!text) complainOfFields('');
}

/** What is wrong with a setting stands above the settings: folded out, they cover what is below. */
function complainOfFields(text) {
  const place = document.getElementById('fields-trouble');
  if (!place) return;
  place.textContent = text ? sentence(text) : '';
  place.hidden = !text;
}

// --- settings --------------------------------------------------------------------------------------------------------

function numberField(name, label, title, least, most, step, empty = '') {
  const input = make('input');
  Object.assign(input, { type: 'number', min: least, max: most, step, placeholder: empty, title, inputMode: 'decimal' });
  fields[name] = input;
  return make('label', 'field', make('span', 'soft', label), input);
}

function buildFields() {
  const { settings, model } = state.server;
  const sample = make('input');
  sample.type = 'checkbox';
  fields.do_sample = sample;
  const layer = make('select');
  layer.title = 'The layer whose attention is shown and recorded';
  for (const own of model.legal_layers ?? Array.from({ length: model.layers }, (_, number) => number)) layer.append(new Option(`layer ${own}`, own));
  fields.layer_idx = layer;
  const system = make('textarea');
  Object.assign(system, { rows: 2, placeholder: 'as the model has it', spellcheck: false });
  fields.system = system;
  const colors = make('select');
  for (const name of Object.keys(looks.maps)) colors.append(new Option(name.replace('_', ' → '), name, false, name === state.colormap));
  colors.addEventListener('change', () => { kept.write('colormap', colors.value); change({ colormap: colors.value }); });
  const trouble = make('p', 'trouble');
  Object.assign(trouble, { id: 'fields-trouble', role: 'alert', hidden: true });
  document.getElementById('fields').addEventListener('input', () => complainOfFields(''));
  document.getElementById('fields').replaceChildren(
    trouble,
    make('label', 'field', make('span', 'soft', 'Layer'), layer),
    numberField('max_new_tokens', 'Most new tokens', 'After so many the answer is cut', 1, 100000, 1),
    make('label', 'field', make('span', 'soft', 'Sample'), sample),
    numberField('temperature', 'Temperature', 'Of sampling', 0.01, 10, 'any', 'the model’s'),
    numberField('seed', 'Seed', 'Of sampling; the same seed gives the same answer', 0, 4294967295, 1, 'any'),
    make('label', 'field tall', make('span', 'soft', 'System prompt'), system),
    make('label', 'field', make('span', 'soft', 'Colours'), colors),
  );
  const link = () => { fields.temperature.disabled = fields.seed.disabled = !sample.checked; };
  sample.addEventListener('change', link);
  setFields(settings ?? {});
  link();
}

function setFields(settings) {
  for (const [name, input] of Object.entries(fields)) {
    if (!(name in settings)) continue;
    if (input.type === 'checkbox') input.checked = Boolean(settings[name]);
    else input.value = settings[name] ?? '';
    input.dispatchEvent(new Event('change'));
  }
}

/** The field that is wrong and what is wrong with it, in a sentence; null where none is. */
function fieldTrouble() {
  const names = { max_new_tokens: 'most new tokens', temperature: 'temperature', seed: 'seed' };
  for (const [name, label] of Object.entries(names)) {
    const input = fields[name];
    if (!input || input.disabled || input.validity.valid) continue;
    const whole = input.step === '1' ? 'a whole number' : 'a number';
    return { input, words: `${label}: expected ${whole} from ${input.min} to ${input.max}` };
  }
  return null;
}

/** What the fields say, those that do not count now as well. */
function allSettings() {
  return Object.fromEntries(Object.entries(fields).map(([name, input]) => [name, input.type === 'checkbox' ? input.checked : input.value]));
}

function settingValues() {
  const values = {};
  for (const [name, input] of Object.entries(fields)) {
    if (input.disabled) continue;
    const value = input.type === 'checkbox' ? input.checked : input.value.trim();
    if (value !== '') values[name] = value;
  }
  return values;
}

// --- asking ----------------------------------------------------------------------------------------------------------

/** Sends a run with its images and puts it on the stage. */
async function send(values, images, signal) {
  const form = new FormData();
  for (const [name, value] of Object.entries(values)) form.append(name, String(value));
  for (const { file, earlier } of images) {
    if (earlier) form.append('images', earlier);
    else form.append('image', file, file.name);
  }
  const { id } = await ask('/api/runs', { method: 'POST', body: form, signal });
  if (signal.aborted) {
    ask(runPath(id), { method: 'DELETE' }).catch(() => {});
    throw new RequestTrouble(0, CANCELLED);
  }
  keepOwn(id);
  openRun(id, { watched: true });
  refresh();
}

async function askFromComposer(mode) {
  if (sending) return;
  complain('');
  const prompt = promptBox.value;
  if (!prompt.trim()) {
    complain('Write a prompt first');
    promptBox.focus();
    return;
  }
  const long = lengthTrouble(prompt);
  if (long) {
    complain(long);
    return;
  }
  const wrong = fieldTrouble();
  if (wrong) {
    document.getElementById('options').open = true;
    complainOfFields(wrong.words);
    wrong.input.focus();
    return;
  }
  const given = beginning ? { answer_ids: JSON.stringify(beginning.ids) } : {};
  const asked = { prompt, mode: beginning && mode === 'generate' ? 'continue' : mode, ...settingValues(), ...given };
  await whileSending(async (signal) => {
    await send(asked, attached, signal);
    lastSent = contentKey();
    dropAside();
  }, complain);
}

/** Why a prompt is too long to be sent at all; empty where it is not. */
function lengthTrouble(prompt) {
  const { characters: most, context } = state.server?.limits ?? {};
  if (!most || prompt.length <= most) return '';
  const reads = context ? `the model reads ${context} tokens` : `at most ${most} are taken`;
  return `the prompt has ${prompt.length} characters; ${reads}: shorten it`;
}

// --- a run that is asked again ---------------------------------------------------------------------------------------

/** Everything that stands in the composer. */
function content() {
  return { prompt: promptBox.value, settings: allSettings(), images: attached, beginning };
}

function contentKey() {
  const { prompt, settings, images } = content();
  return JSON.stringify([prompt, settings, images.map((own) => own.earlier ?? own.address), beginning?.ids]);
}

/** Fills the composer with what a run was asked; what was typed and not sent is put aside and can be had back. */
function fillComposer(asked) {
  complain('');
  const isDraft = (promptBox.value.trim() || attached.length) && contentKey() !== lastSent;
  const before = isDraft ? content() : null;
  putContent(asked);
  lastSent = contentKey();
  dropAside();
  if (before && JSON.stringify(before) !== JSON.stringify(content())) putAside = before;
  paintAside();
  showSide(true);
  promptBox.focus();
}

function putContent({ prompt, settings, images, beginning: begun }) {
  promptBox.value = prompt;
  keepPrompt();
  setFields(settings);
  setAttached(images);
  beginning = begun;
  paintBeginning();
}

function dropAside() {
  for (const own of putAside?.images ?? []) if (!own.earlier && !attached.includes(own)) URL.revokeObjectURL(own.address);
  putAside = null;
  paintAside();
}

function paintAside() {
  putAsideLine.hidden = !putAside;
  putAsideLine.replaceChildren(make('span', '', 'What you had typed was put aside.'), button('Bring it back', 'Put it into the composer again', () => {
    putContent(putAside);
    putAside = null;
    paintAside();
    promptBox.focus();
  }));
}

function paintBeginning() {
  beginningLine.hidden = !beginning;
  if (!beginning) return;
  const words = make('span', '', `The answer begins with ${inline(beginning.text)}`);
  words.title = beginning.text;
  beginningLine.replaceChildren(words, button('×', 'Let the model begin the answer itself', () => {
    beginning = null;
    paintBeginning();
    promptBox.focus();
  }));
}

/** One request at a time; what goes wrong is said by `tell`. */
async function whileSending(act, tell) {
  if (sending) return;
  sending = new AbortController();
  const said = setTimeout(() => { sendingLine.hidden = false; }, SAID_MS);
  paintButtons();
  try {
    await act(sending.signal);
  } catch (trouble) {
    if (!(trouble instanceof RequestTrouble)) throw trouble;
    tell(trouble.message);
  } finally {
    clearTimeout(said);
    sendingLine.hidden = true;
    sending = null;
    paintButtons();
  }
}

/** Lets go of what is being sent; whether there was something. */
function cancelSending() {
  sending?.abort();
  return sending !== null;
}

document.getElementById('sending-cancel').addEventListener('click', cancelSending);

function paintButtons() {
  for (const name of ['ask', 'ask-next', 'edit-go']) document.getElementById(name).disabled = sending !== null || !state.server;
}

/** Whether a key ends a word of an input method: such a key is not for the page. */
const isComposing = (event) => event.isComposing || event.keyCode === 229;

function onCtrlEnter(element, act) {
  element.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey) || isComposing(event)) return;
    event.preventDefault();
    act();
  });
}

document.getElementById('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  askFromComposer('generate');
});
document.getElementById('ask-next').addEventListener('click', () => askFromComposer('next'));
onCtrlEnter(document.getElementById('composer'), () => askFromComposer('generate'));

function keepPrompt() {
  kept.write('prompt', promptBox.value, 'sessionStorage');
}

promptBox.addEventListener('input', () => { keepPrompt(); complain(''); });

/** What was asked in a run, to be asked again. */
function valuesOf(run) {
  const { prompt, system, settings } = run.info;
  const values = { prompt };
  for (const [name, value] of Object.entries({ system, ...settings })) if (value !== null && value !== undefined && value !== '') values[name] = value;
  return values;
}

whenChanged((changed) => {
  if (changed.has('server') && state.server && !Object.keys(fields).length) buildFields();
  paintButtons();
});
