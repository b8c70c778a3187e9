// The images on the stage, each under the patches of the row shown.

const picturesPanel = document.getElementById('pictures');
const streamPlace = document.getElementById('stream');
const CAPTION = 30;
const GAP = 14;
const LEAST_SHARE = 0.4;
const LEAST_WIDTH = 80;
/** Pictures narrower than that have room for their number and share only. */
const SMALL = 190;

let figures = [];
let figuresOf = null;
let overlay = { key: '', styles: [] };

function buildFigures(run) {
  figuresOf = run;
  document.body.classList.toggle('no-images', !run.images.length);
  figures = run.images.map((info, number) => {
    const canvas = make('canvas');
    const fill = make('span', 'bar-fill');
    const share = make('span', 'number');
    const name = make('span', 'name');
    name.title = plain(info.name);
    const figure = make('figure', '', canvas, make('figcaption', '', name, make('span', 'bar-track', fill), share));
    const own = { info, number, canvas, figure, fill, name, share, image: null, width: 0, height: 0 };
    canvas.addEventListener('pointermove', (event) => hoverPatch(own, event));
    canvas.addEventListener('pointerleave', hideTooltip);
    loadPicture(own, run);
    return own;
  });
  picturesPanel.replaceChildren(...figures.map((own) => own.figure));
}

async function loadPicture(own, run) {
  const image = new Image();
  image.src = own.info.src;
  try {
    await image.decode();
    own.image = image;
  } catch { /* the patches are painted on nothing */ }
  if (state.run === run) touch('size');
}

/** The widths at which the pictures are largest in a place, side by side or one below the other, and their height. */
function fitFigures(width, height) {
  let best = { area: 0, widths: null, used: 0 };
  for (let columns = 1; columns <= Math.max(1, figures.length); columns++) {
    const rows = Math.ceil(figures.length / columns);
    const cell = (width - GAP * (columns - 1)) / columns;
    const high = (height - GAP * (rows - 1)) / rows - CAPTION;
    const widths = figures.map(({ info }) => Math.max(0, Math.min(cell, (high * info.width) / info.height)));
    const area = widths.reduce((sum, own, i) => sum + (own * own * figures[i].info.height) / figures[i].info.width, 0);
    if (area <= best.area) continue;
    const heights = widths.map((own, i) => (own * figures[i].info.height) / figures[i].info.width);
    let used = GAP * (rows - 1) + CAPTION * rows;
    for (let row = 0; row < rows; row++) used += Math.max(...heights.slice(row * columns, (row + 1) * columns));
    best = { area, widths, used };
  }
  return best;
}

/** As large as the pictures can be with none out of sight; the step is told below them where they leave room for it. */
function measureFigures(run) {
  const style = getComputedStyle(picturesPanel);
  const padding = parseFloat(style.paddingTop) + parseFloat(style.paddingBottom);
  // `clientWidth` is rounded, and half a pixel too much would send the last picture of a row to the next.
  const wide = Math.min(picturesPanel.clientWidth, Math.floor(picturesPanel.getBoundingClientRect().width));
  const width = wide - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  // Where the page scrolls as a whole, text and pictures shall be in sight together.
  const scrolls = style.overflowY === 'visible';
  const gap = parseFloat(getComputedStyle(streamPlace).rowGap) || 0;
  const column = streamPlace.clientHeight - document.getElementById('meter').offsetHeight - gap;
  const whole = column - (picturesPanel.parentElement.offsetHeight - picturesPanel.clientHeight) - padding;
  document.body.classList.toggle('choosing', run.mode === 'next');
  const told = gap + parseFloat(getComputedStyle(streamPlace).getPropertyValue('--step-height'));
  const below = !scrolls && whole - fitFigures(width, whole).used >= told;
  document.body.classList.toggle('step-below', below);
  const best = fitFigures(width, scrolls ? LEAST_SHARE * innerHeight : below ? whole - told : whole);
  figures.forEach((own, number) => {
    own.width = Math.floor(Math.max(Math.min(width, LEAST_WIDTH), best.widths ? best.widths[number] : 0));
    own.height = (own.width * own.info.height) / own.info.width;
    own.figure.style.width = `${own.width}px`;
    const small = own.width < SMALL;
    own.figure.classList.toggle('small', small);
    own.name.textContent = figures.length === 1 ? own.name.title : small ? `${number + 1}` : `${number + 1} · ${own.name.title}`;
  });
}

/** The 256 colours of the overlay as CSS, made once for a colour map. */
function overlayStyles() {
  const key = `${state.colormap} ${state.heatAlpha} ${state.opacity}`;
  if (overlay.key === key) return overlay.styles;
  const colors = imageColors();
  const styles = Array.from({ length: 256 }, (_, step) => (
    `rgba(${colors[3 * step]},${colors[3 * step + 1]},${colors[3 * step + 2]},${overlayAlpha(step)})`));
  overlay = { key, styles };
  return styles;
}

function paintFigures(run) {
  const shown = shownStep();
  const step = shown === null ? null : run.steps[shown];
  for (const own of figures) {
    paintFigure(own, run, step);
    const share = step?.row ? step.shares[own.number] : NaN;
    own.share.textContent = step?.row ? `${percent(share)}${own.width < 300 ? '' : ' of the row'}` : '';
    own.fill.style.width = `${100 * (Number.isNaN(share) ? 0 : share)}%`;
  }
}

function paintFigure(own, run, step) {
  const context = fitCanvas(own.canvas, own.width, own.height);
  const zoom = own.width / own.info.width;
  context.imageSmoothingQuality = 'high';
  if (own.image) context.drawImage(own.image, 0, 0, own.width, own.height);
  let peak = null;
  for (const grid of own.info.grids) {
    const places = cellPlaces(grid, 0, 0, zoom);
    if (step?.row) peak = paintCells(context, own, grid, places, run, step, peak);
    if (state.grid) paintGrid(context, places);
    for (const sink of step?.row ? run.scale.sinks : []) {
      const token = run.tokens[sink];
      const inside = token.patch - grid.first;
      if (token.kind === 'patch' && token.image === own.number && inside >= 0 && inside < grid.rows * grid.columns) {
        sinkDot(context, cellBox(grid, places, token.patch));
      }
    }
  }
  if (peak && peak.weight > 0) ring(context, peak.box);
}

/** Paints the cells of a grid and returns the heaviest one so far. */
function paintCells(context, own, grid, places, run, step, peak) {
  const { x, y } = places;
  const styles = overlayStyles();
  const positions = run.patches[own.number];
  let best = peak;
  let painted = -1;
  for (let patch = grid.first; patch < grid.first + grid.rows * grid.columns; patch++) {
    const weight = step.row[positions[patch]];
    const r = Math.floor((patch - grid.first) / grid.columns);
    const c = (patch - grid.first) % grid.columns;
    const level = levelOf(weight, run.scale.tops.image);
    if (Number.isNaN(level)) {
      hatchCell(context, x[c], y[r], x[c + 1] - x[c], y[r + 1] - y[r]);
      painted = -1;
      continue;
    }
    const color = stepOf(level);
    if (color !== painted) {
      context.fillStyle = styles[color];
      painted = color;
    }
    context.fillRect(x[c], y[r], x[c + 1] - x[c], y[r + 1] - y[r]);
    if (!best || weight > best.weight) best = { weight, box: [x[c], y[r], x[c + 1] - x[c], y[r + 1] - y[r]] };
  }
  return best;
}

/** The position of the patch under the pointer; -1 for none. */
function patchAt(own, event) {
  const bounds = own.canvas.getBoundingClientRect();
  const zoom = own.info.width / bounds.width;
  const x = (event.clientX - bounds.left) * zoom;
  const y = (event.clientY - bounds.top) * zoom;
  for (const grid of own.info.grids) {
    const c = grid.x.findIndex((edge, i) => i < grid.columns && x >= edge && x < grid.x[i + 1]);
    const r = grid.y.findIndex((edge, i) => i < grid.rows && y >= edge && y < grid.y[i + 1]);
    if (c >= 0 && r >= 0) return state.run.patches[own.number][grid.first + r * grid.columns + c];
  }
  return -1;
}

function hoverPatch(own, event) {
  const position = patchAt(own, event);
  if (position < 0 || position === undefined) {
    hideTooltip();
    return;
  }
  const words = () => {
    const { run } = state;
    const shown = shownStep();
    const step = shown === null ? null : run.steps[shown];
    return [make('strong', 'tip-title', run.nameOf(position)), factList(weightFacts(run, position, position + 1, step))];
  };
  showTooltip(event, words(), words);
}

function paintLegend(element, name, top, clipped, colorOf) {
  const ramp = make('span', 'ramp');
  const stops = [];
  for (let step = 0; step < 256; step += 15) stops.push(colorOf(step));
  ramp.style.backgroundImage = `linear-gradient(to right, ${stops.join(',')})`;
  const empty = top === SMALLEST_TOP && !clipped;
  element.replaceChildren(make('span', 'soft', `${name} attention weight`), make('span', 'number', empty ? '' : '0'), ramp,
    make('span', 'number', empty ? 'no weight' : `${clipped ? '≥ ' : ''}${shortWeight(top)}`));
}

const legendOf = { text: document.getElementById('text-legend'), image: document.getElementById('image-legend') };

function paintLegends(run) {
  const tops = run.scale?.tops;
  legendOf.text.hidden = !tops || state.editing;
  legendOf.image.hidden = !tops;
  if (!tops) return;
  const key = JSON.stringify([tops, state.colormap, isDark()]);
  if (paintLegends.last === key) return;
  paintLegends.last = key;
  const styles = tokenStyles();
  paintLegend(legendOf.text, 'text', tops.text, tops.textClipped, (step) => styles.box[step]);
  const colors = imageColors();
  paintLegend(legendOf.image, 'image', tops.image, tops.imageClipped, (step) => {
    const alpha = overlayAlpha(step);
    return `rgb(${[0, 1, 2].map((i) => Math.round(150 * (1 - alpha) + colors[3 * step + i] * alpha))})`;
  });
}

whenChanged((changed) => {
  const { run } = state;
  if (!run || state.view !== 'stream') return;
  if (run.tokens.length && figuresOf !== run) buildFigures(run);
  if (figuresOf === run) {
    if (['prompt', 'size', 'view'].some((name) => changed.has(name))) measureFigures(run);
    paintFigures(run);
  }
  paintLegends(run);
});

new ResizeObserver(() => touch('size')).observe(picturesPanel);
