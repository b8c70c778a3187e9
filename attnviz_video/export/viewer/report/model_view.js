// Layers × heads: a scalar of every head as a colour, or its map where the page holds its rows. A click leads there.

const modelCanvas = document.getElementById('model-canvas');
const modelBar = document.getElementById('model-bar');
const modelState = { what: 'share', over: 'step', cell: null, loading: false };
/** Blocks that are inflated together. */
const AT_ONCE = 8;
/** `Analysis`-free row sets for thumbnails, by block name; filled while the view is open. */
const thumbnailRows = new Map();
/** One pixel per patch. */
const thumbnail = document.createElement('canvas');
const MODEL_LEFT = 74;
const MODEL_TOP = 26;
/** As in the style sheet. */
const SCROLL_PADDING = 3;

function buildModelBar() {
  const choices = [];
  if (data.scalars) {
    if (data.images.length) choices.push(['share', 'image share']);
    choices.push(['entropy', 'entropy'], ['first', 'first-token share'], ['maximum', 'largest weight']);
  }
  if (data.pictures.length) choices.push(['map', 'maps']);
  if (!choices.some(([what]) => what === modelState.what)) modelState.what = choices[0] ? choices[0][0] : '';
  const what = segmented('What is shown of every head', choices, () => modelState.what, (value) => setModel({ what: value }));
  const over = segmented(`Of which ${stepWord}s`, [['step', `this ${stepWord}`], ['mean', `mean over ${stepWord}s`]], () => modelState.over,
    (value) => setModel({ over: value }));
  modelBar.replaceChildren(what, over, make('span', 'soft grow', ''), make('span', 'legend'));
}

function setModel(patch) {
  Object.assign(modelState, patch);
  touch('model');
}

/** Columns: the mean over heads, then every head. */
function modelColumns() {
  return ['mean', ...Array.from({ length: data.nHeads }, (_, head) => String(head))];
}

function modelLayers() {
  return Array.from({ length: data.nLayers }, (_, layer) => layer);
}

function modelGeometry() {
  const scroll = document.getElementById('model-scroll');
  const columns = modelColumns().length;
  const [wide, high] = [scroll.clientWidth - 6, scroll.clientHeight - 6];
  const isMap = modelState.what === 'map';
  const least = isMap ? 44 : 16;
  let width = Math.max(least, Math.min(isMap ? 150 : 170, (wide - MODEL_LEFT) / columns));
  let height = Math.max(isMap ? 40 : 10, Math.min(isMap ? 150 : 34, (high - MODEL_TOP) / data.nLayers));
  if (isMap) {
    height = Math.max(height, Math.min(width / aspect(data.pictures[0]), 110));
    width = Math.min(width, Math.max(40, height * aspect(data.pictures[0]) + 4));
  }
  return { width, height, total: MODEL_LEFT + columns * width, tall: MODEL_TOP + data.nLayers * height };
}

/** The number that a cell shows; NaN where it was not recorded. */
function modelValue(layer, head) {
  const one = (step) => {
    if (step === null) return NaN;
    const number = head === 'mean' ? null : Number(head);
    if (modelState.what === 'share') return imageShare(step, layer, number);
    return number === null ? meanScalar(modelState.what, step, layer) : scalar(modelState.what, step, layer, number);
  };
  const steps = data.frames.map((step) => rowStepOf(step, state.convention));
  if (modelState.over === 'step') return one(steps[state.frame]);
  const values = steps.map(one).filter((value) => !Number.isNaN(value));
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : NaN;
}

function modelText(value) {
  if (modelState.what === 'entropy') return Number.isNaN(value) ? '–' : `${value.toFixed(2)} nat`;
  return percent(value);
}

function paintModel() {
  if (!modelState.what) {
    modelBar.replaceChildren(make('p', 'notice', 'This trace holds neither scalars nor images.'));
    return;
  }
  const place = modelGeometry();
  const context = fitCanvas(modelCanvas, place.total, place.tall);
  const columns = modelColumns();
  context.font = `${place.height < 14 ? 11 : 12}px system-ui, sans-serif`;
  context.textBaseline = 'middle';
  context.textAlign = 'left';
  const values = modelState.what === 'map' ? null : modelLayers().map((layer) => columns.map((head) => modelValue(layer, head)));
  const known = values ? values.flat().filter((value) => !Number.isNaN(value)) : [];
  const largest = Math.max(...known, 1e-9);
  const inSight = new Set(values ? modelLayers() : layersInSight());
  for (const layer of modelLayers()) {
    if (!inSight.has(layer)) continue;
    const y = MODEL_TOP + layer * place.height;
    if (place.height >= 11.5 || layer % 2 === 0) {
      context.fillStyle = layer === state.layer ? themed('accent') : themed('ink-soft');
      context.fillText(`layer ${layer}`, 4, y + place.height / 2);
    }
    columns.forEach((head, column) => {
      const box = [MODEL_LEFT + column * place.width, y, place.width - 2, place.height - 2];
      if (values) paintModelValue(context, box, values[layer][column], largest);
      else paintThumbnail(context, box, layer, head);
      if (layer === state.layer && head === state.head) frameCell(context, box, themed('accent'), 3);
      else if (modelState.cell && modelState.cell[0] === layer && modelState.cell[1] === head) frameCell(context, box, themed('ink'), 1.5);
    });
  }
  paintModelHeads(context, place, columns);
  paintModelLegend(largest);
}

/** The numbers of the heads, which stay in sight. */
function paintModelHeads(context, place, columns) {
  const top = Math.max(0, document.getElementById('model-scroll').scrollTop - SCROLL_PADDING);
  context.fillStyle = themed('panel-background');
  context.fillRect(0, top - SCROLL_PADDING, place.total, MODEL_TOP + SCROLL_PADDING - 1);
  context.fillStyle = themed('ink-soft');
  context.fillText('head', MODEL_LEFT - 38, top + MODEL_TOP / 2);
  context.textAlign = 'center';
  const every = Math.ceil(26 / place.width);
  columns.forEach((head, column) => {
    if (column > 1 && Number(head) % every) return;
    const name = head === 'mean' && place.width < 30 ? 'm' : head;
    context.fillText(name, MODEL_LEFT + (column + 0.5) * place.width, top + MODEL_TOP / 2);
  });
}

function frameCell(context, [x, y, width, height], color, line) {
  context.strokeStyle = color;
  context.lineWidth = line;
  context.strokeRect(x + line / 2 - 1, y + line / 2 - 1, width + 2 - line, height + 2 - line);
}

function paintModelValue(context, [x, y, width, height], value, largest) {
  if (Number.isNaN(value)) {
    context.fillStyle = themed('nan-ground');
    context.fillRect(x, y, width, height);
    return;
  }
  const styles = tokenStyles();
  const step = stepOf(Math.max(0, Math.min(1, value / largest)));
  context.fillStyle = styles.box[step];
  context.fillRect(x, y, width, height);
  if (width < 46 || height < 15) return;
  context.save();
  context.textAlign = 'center';
  context.fillStyle = styles.ink[step].includes('dark') ? themed('token-dark_letters') : themed('token-light_letters');
  context.fillText(modelState.what === 'entropy' ? value.toFixed(2) : percent(value), x + width / 2, y + height / 2 + 0.5);
  context.restore();
}

/** The map of a head at this step on the first picture, each up to its own largest weight. */
function paintThumbnail(context, [x, y, width, height], layer, head) {
  context.fillStyle = themed('nan-ground');
  context.fillRect(x, y, width, height);
  if (!canShow(layer, head)) return;
  const rows = thumbnailRows.get(blockName(layer, head));
  if (!rows) return;
  const weights = thumbnailWeights(rows);
  if (!weights) return;
  const picture = data.pictures[0];
  const [left, top, right, bottom] = picture.crop;
  const zoom = Math.min(width / (right - left), height / (bottom - top));
  const [x0, y0] = [x + (width - (right - left) * zoom) / 2, y + (height - (bottom - top) * zoom) / 2];
  const colors = tokenColors();
  const largest = Math.max(...weights.filter(isUsable), 1e-9);
  context.imageSmoothingEnabled = false;
  for (const grid of picture.grids) {
    const pixels = new ImageData(grid.columns, grid.rows);
    for (let cell = 0; cell < grid.rows * grid.columns; cell++) {
      const step = stepOf(Math.max(0, Math.min(1, weights[grid.first + cell] / largest)) || 0);
      pixels.data.set([colors[3 * step], colors[3 * step + 1], colors[3 * step + 2], 255], 4 * cell);
    }
    thumbnail.width = grid.columns;
    thumbnail.height = grid.rows;
    thumbnail.getContext('2d').putImageData(pixels, 0, 0);
    const [x1, y1] = [x0 + (grid.x[0] - left) * zoom, y0 + (grid.y[0] - top) * zoom];
    const [x2, y2] = [x0 + (grid.x[grid.columns] - left) * zoom, y0 + (grid.y[grid.rows] - top) * zoom];
    context.drawImage(thumbnail, x1, y1, x2 - x1, y2 - y1);
  }
}

function thumbnailWeights(rows) {
  const positions = data.patches[data.pictures[0].image];
  const frames = modelState.over === 'step' ? [data.frames[state.frame]] : data.frames;
  const steps = frames.map((step) => rowStepOf(step, state.convention));
  const sums = new Float64Array(positions.length);
  let count = 0;
  for (const step of steps) {
    if (step === null) continue;
    const row = rows.row(step);
    positions.forEach((position, patch) => { sums[patch] += row[position]; });
    count++;
  }
  return count ? sums : null;
}

/** Inflate the rows of the thumbnails in sight, some at a time, painting as they come. */
async function loadThumbnails() {
  if (modelState.loading) return;
  modelState.loading = true;
  for (;;) {
    const wanted = [];
    for (const layer of layersInSight()) {
      for (const head of modelColumns()) {
        const name = blockName(layer, head);
        if (hasBlock(layer, head) && !thumbnailRows.has(name)) wanted.push(name);
      }
    }
    if (!wanted.length || state.view !== 'model' || modelState.what !== 'map') break;
    await Promise.all(wanted.slice(0, AT_ONCE).map(async (name) => thumbnailRows.set(name, await readBlock(name))));
    touch('model');
  }
  modelState.loading = false;
}

/** The layers whose thumbnails are not scrolled away. */
function layersInSight() {
  const scroll = document.getElementById('model-scroll');
  const { height } = modelGeometry();
  return modelLayers().filter((layer) => {
    const top = MODEL_TOP + layer * height;
    return top + height > scroll.scrollTop && top < scroll.scrollTop + scroll.clientHeight;
  });
}

function paintModelLegend(largest) {
  const legend = modelBar.querySelector('.legend');
  if (modelState.what === 'map') {
    legend.replaceChildren(make('span', 'soft', 'every map up to its own largest weight; grey: no rows in this page'));
    return;
  }
  const styles = tokenStyles();
  const ramp = make('span', 'ramp');
  ramp.style.backgroundImage = `linear-gradient(to right, ${[0, 32, 64, 96, 128, 160, 192, 224, 255].map((s) => styles.box[s]).join(',')})`;
  legend.replaceChildren(make('span', 'number', '0'), ramp, make('span', 'number', modelText(largest)));
}

function modelCell(event) {
  const bounds = modelCanvas.getBoundingClientRect();
  const place = modelGeometry();
  const column = Math.floor((event.clientX - bounds.left - MODEL_LEFT) / place.width);
  const layer = Math.floor((event.clientY - bounds.top - MODEL_TOP) / place.height);
  const columns = modelColumns();
  return column >= 0 && column < columns.length && layer >= 0 && layer < data.nLayers ? [layer, columns[column]] : null;
}

document.getElementById('model-scroll').addEventListener('scroll', () => touch('model'));
modelCanvas.addEventListener('pointermove', (event) => {
  const cell = modelCell(event);
  if (String(cell) !== String(modelState.cell)) setModel({ cell });
  if (!cell) { hideTooltip(); return; }
  const [layer, head] = cell;
  const facts = [];
  if (data.scalars && scalars.layers.includes(layer)) {
    const kept = modelState.what;
    for (const what of [...(data.images.length ? ['share'] : []), 'entropy', 'first', 'maximum']) {
      modelState.what = what;
      facts.push([{ share: 'image share', entropy: 'entropy', first: 'first-token share', maximum: 'largest weight' }[what], modelText(modelValue(layer, head))]);
    }
    modelState.what = kept;
  }
  const kind = data.layerKinds[layer];
  if (kind && kind !== 'full') facts.push(['attention', kind]);
  const title = `layer ${layer}, ${head === 'mean' ? 'mean over heads' : `head ${head}`}`;
  const hint = canShow(layer, head) ? 'click to see it' : missingRows(layer, head);
  showTooltip(event, [make('strong', 'tip-title', title), factList(facts), make('p', 'soft', hint)]);
});
modelCanvas.addEventListener('pointerleave', () => { hideTooltip(); setModel({ cell: null }); });
modelCanvas.addEventListener('click', (event) => {
  const cell = modelCell(event);
  if (!cell) return;
  const [layer, head] = cell;
  if (canShow(layer, head)) change({ layer, head, view: 'read' });
  else if (canShow(layer, 'mean')) change({ layer, head: 'mean', view: 'read' });
});

/** Brings the row of the layer into sight, below the numbers of the heads. */
function followLayer() {
  const scroll = document.getElementById('model-scroll');
  const { height } = modelGeometry();
  const top = state.layer * height;
  scroll.scrollTop = Math.max(top + MODEL_TOP + height + 2 * SCROLL_PADDING - scroll.clientHeight, Math.min(scroll.scrollTop, top));
}

whenChanged((changed) => {
  if (state.view !== 'model') return;
  if (modelState.what === 'map') loadThumbnails();
  paintModel();
  if (changed.has('layer')) followLayer();
});
