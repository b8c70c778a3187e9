// What is asked: prompt, images, settings.

const promptBox = document.getElementById('prompt');
const thumbs = document.getElementById('thumbs');
const fileInput = document.getElementById('files');
const composerTrouble = document.getElementById('composer-trouble');
const IMAGE_KINDS = ['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/bmp', 'image/tiff'];

/** Files with the address of their thumbnail; `earlier` names one that the server has already, as RUN/NUMBER. */
let attached = [];
let sending = false;

const fields = {};

function complain(text) {
  composerTrouble.textContent = text ? sentence(text) : '';
  composerTrouble.hidden = !text;
}

// --- images ----------------------------------------------------------------------------------------------------------

function attachFiles(files) {
  complain('');
  for (const file of files) {
    const trouble = troubleWith(file);
    if (trouble) {
      complain(trouble);
      break;
    }
    attached.push({ file, address: URL.createObjectURL(file) });
  }
  paintThumbs();
}

/** Why a file cannot be attached, in a sentence; empty where it can. */
function troubleWith(file) {
  const { model, limits } = state.server ?? {};
  if (model && !model.vision) return `${plain(model.name)} reads text only; it takes no images`;
  if (!IMAGE_KINDS.includes(file.type)) return `${plain(file.name)} is not an image that can be read; PNG, JPEG, WEBP, GIF, BMP and TIFF are`;
  const most = model?.max_images;
  if (most && attached.length >= most) return `this model takes at most ${most} ${most === 1 ? 'image' : 'images'}`;
  const size = attached.reduce((sum, own) => sum + own.file.size, file.size);
  const limit = limits?.max_upload_mb;
  if (limit && size > limit * 1e6) return `these images have ${(size / 1e6).toFixed(0)} MB together; the server takes ${limit} MB (--max_upload_mb)`;
  return '';
}

function detach(own) {
  URL.revokeObjectURL(own.address);
  attached = attached.filter((other) => other !== own);
  complain('');
  paintThumbs();
  document.getElementById('attach').focus();
}

function paintThumbs() {
  thumbs.hidden = !attached.length;
  thumbs.replaceChildren(...attached.map((own) => {
    const image = make('img');
    image.src = own.address;
    image.alt = plain(own.file.name);
    image.title = plain(own.file.name);
    const away = make('button', 'remove', '×');
    away.type = 'button';
    away.title = `Remove ${plain(own.file.name)}`;
    away.setAttribute('aria-label', away.title);
    away.addEventListener('click', () => detach(own));
    const place = make('li', '', image, away);
    // Browsers show no TIFF: its name stands for it.
    image.addEventListener('error', () => image.replaceWith(make('span', 'no-preview', plain(own.file.name))));
    return place;
  }));
}

/** The images of a run again: the server has them. */
function setAttached(run) {
  for (const own of attached) URL.revokeObjectURL(own.address);
  attached = Array.from({ length: run.info.images }, (_, number) => ({
    file: { name: run.images[number]?.name ?? `image ${number + 1}`, size: 0 },
    earlier: `${run.id}/${number}`,
    address: runPath(run.id, `/images/${number}`),
  }));
  paintThumbs();
}

document.getElementById('attach').addEventListener('click', () => fileInput.click());
fileInput.accept = IMAGE_KINDS.join(',');
fileInput.addEventListener('change', () => {
  attachFiles(fileInput.files);
  fileInput.value = '';
});

addEventListener('paste', (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  attachFiles(files);
});

const drop = document.getElementById('drop');
const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
addEventListener('dragenter', (event) => { if (hasFiles(event)) drop.hidden = false; });
addEventListener('dragover', (event) => { if (hasFiles(event)) event.preventDefault(); });
addEventListener('dragleave', (event) => { if (!event.relatedTarget) drop.hidden = true; });
addEventListener('drop', (event) => {
  drop.hidden = true;
  if (!hasFiles(event)) return;
  event.preventDefault();
  showSide(true);
  attachFiles(event.dataTransfer.files);
});

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
  document.getElementById('fields').replaceChildren(
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

/** What is wrong with the fields, in a sentence; empty where nothing is. */
function fieldTrouble() {
  const names = { max_new_tokens: 'most new tokens', temperature: 'temperature', seed: 'seed' };
  for (const [name, label] of Object.entries(names)) {
    const input = fields[name];
    if (!input || input.disabled || input.validity.valid) continue;
    const whole = input.step === '1' ? 'a whole number' : 'a number';
    return `${label}: expected ${whole} from ${input.min} to ${input.max}`;
  }
  return '';
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
async function send(values, images) {
  const form = new FormData();
  for (const [name, value] of Object.entries(values)) form.append(name, String(value));
  for (const { file, earlier } of images) {
    if (earlier) form.append('images', earlier);
    else form.append('image', file, file.name);
  }
  const { id } = await ask('/api/runs', { method: 'POST', body: form });
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
  const wrong = fieldTrouble();
  if (wrong) {
    document.getElementById('options').open = true;
    complain(wrong);
    return;
  }
  await whileSending(async () => {
    await send({ prompt, mode, ...settingValues() }, attached);
  }, complain);
}

/** One request at a time; what goes wrong is said by `tell`. */
async function whileSending(act, tell) {
  if (sending) return;
  sending = true;
  paintButtons();
  try {
    await act();
  } catch (trouble) {
    if (!(trouble instanceof RequestTrouble)) throw trouble;
    tell(trouble.message);
  } finally {
    sending = false;
    paintButtons();
  }
}

function paintButtons() {
  for (const name of ['ask', 'ask-next', 'edit-go']) document.getElementById(name).disabled = sending || !state.server;
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
promptBox.addEventListener('input', () => { kept.write('prompt', promptBox.value, 'sessionStorage'); complain(''); });

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
