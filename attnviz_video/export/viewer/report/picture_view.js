// The image panel: every picture under its patch overlay.

const picturesPanel = document.getElementById('pictures');
const loadedImages = data.images.map(() => null);
let figures = [];
/** In pixels: what stands between pictures and below each, the least width of a column (its caption is read) and the
 * least longer side of a picture.
 */
const GAP = 14;
const ROW_GAP = 8;
const CAPTION = 26;
const LEAST_COLUMN = 130;
const LEAST_SIDE = 110;
/** From so many pictures on they get more room than the text. */
const MANY = 3;
/** Part of the window's height for them where the page scrolls as a whole. */
const LONG_SHARE = 0.5;

async function loadImages() {
  await Promise.all(data.images.map(async (info, index) => {
    const image = new Image();
    image.src = info.src;
    try {
      await image.decode();
      loadedImages[index] = image;
      touch('images');
    } catch {
      loadedImages[index] = null; // the patches are painted on nothing
    }
  }));
}

function buildPictures() {
  document.body.classList.toggle('no-images', !data.pictures.length);
  document.body.classList.toggle('many-images', data.pictures.length >= MANY);
  figures = data.pictures.map((picture) => {
    const canvas = make('canvas');
    const title = make('span', 'name');
    const share = make('span', 'number');
    const fill = make('span', 'bar-fill');
    const info = data.images[picture.image];
    title.textContent = `${data.images.length > 1 ? `${picture.image + 1} · ` : ''}${info.name}${picture.area ? ` · ${picture.area}` : ''}`;
    title.title = info.name;
    const figure = make('figure', '', canvas, make('figcaption', '', title, make('span', 'bar-track', fill), share));
    const own = { picture, canvas, figure, share, fill, width: 0, height: 0 };
    canvas.addEventListener('pointermove', (event) => hoverPatch(own, event));
    canvas.addEventListener('pointerleave', hideTooltip);
    canvas.addEventListener('click', (event) => clickPatch(own, event));
    return own;
  });
  picturesPanel.replaceChildren(...figures.map((own) => own.figure));
}

/** Pictures side by side, as large as they can be with none out of sight; where they would be too small, so many
 * beside each other as are large enough, in two rows, and the rest is reached by scrolling.
 */
function measurePictures() {
  const isLong = getComputedStyle(picturesPanel).overflowY === 'visible';
  picturesPanel.classList.toggle('fits', !isLong);
  let [width, height] = picturesRoom();
  // Where the page scrolls as a whole, text and pictures shall be in sight together.
  if (isLong) height = LONG_SHARE * innerHeight;
  let sizes = fittingSizes(width, height);
  if (!sizes) {
    picturesPanel.classList.remove('fits');
    [width] = picturesRoom(); // a scroll bar has come
    const twoRows = (height - ROW_GAP) / 2 - CAPTION;
    sizes = columnSizes(width, Math.max(LEAST_SIDE, twoRows), Math.max(1, Math.floor((width + GAP) / (LEAST_COLUMN + GAP))));
  }
  figures.forEach((own, number) => {
    [own.width, own.height] = [sizes[number], sizes[number] / aspect(own.picture)];
    own.figure.style.width = `${Math.max(own.width, Math.min(width, LEAST_COLUMN))}px`;
  });
}

/** Width and height in the panel, in whole pixels: `clientWidth` alone may be more than there is. */
function picturesRoom() {
  const style = getComputedStyle(picturesPanel);
  const { width } = picturesPanel.getBoundingClientRect();
  const bar = picturesPanel.offsetWidth - picturesPanel.clientWidth;
  return [
    Math.floor(width - bar - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight)),
    picturesPanel.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom),
  ];
}

/** The widths with which all pictures are in sight and the most of them is seen; null where that is too small. */
function fittingSizes(width, height) {
  let best = { area: 0, sizes: null };
  for (let columns = 1; columns <= Math.max(1, figures.length); columns++) {
    if (columns > 1 && (width - GAP * (columns - 1)) / columns < LEAST_COLUMN) break;
    const rows = Math.ceil(figures.length / columns);
    const sizes = columnSizes(width, (height - ROW_GAP * (rows - 1)) / rows - CAPTION, columns);
    const areas = sizes.map((own, number) => (own * own) / aspect(figures[number].picture));
    const area = areas.reduce((sum, own) => sum + own, 0);
    const isLarge = sizes.every((own, number) => Math.max(own, own / aspect(figures[number].picture)) >= LEAST_SIDE);
    if (isLarge && area > best.area) best = { area, sizes };
  }
  return best.sizes;
}

/** The widths of the pictures in so many columns, none higher than `height`. */
function columnSizes(width, height, columns) {
  const cell = Math.floor((width - GAP * (columns - 1)) / columns);
  return figures.map(({ picture }) => Math.max(1, Math.floor(Math.min(cell, height * aspect(picture)))));
}

function aspect(picture) {
  const [left, top, right, bottom] = picture.crop;
  return (right - left) / (bottom - top);
}

function paintPictures() {
  const row = state.analysis ? state.analysis.treated(shownRow()) : null;
  const scale = shownScale();
  for (const own of figures) paintPicture(own, row, scale);
  const raw = shownRow();
  const shares = raw ? rowFacts(raw, []).images : null;
  for (const own of figures) {
    const share = shares ? shares[own.picture.image] : NaN;
    own.share.textContent = raw ? `${percent(share)}${own.width < 240 ? '' : ' of the row'}` : 'no row';
    // The colour of the image's curve in the timeline.
    if (figures.length > 1) own.fill.style.backgroundColor = seriesColor(own.picture.image + 1);
    own.fill.style.width = `${100 * (Number.isNaN(share) ? 0 : share)}%`;
  }
}

function paintPicture(own, row, scale) {
  const { picture, canvas } = own;
  const context = fitCanvas(canvas, own.width, own.height);
  const [left, top, right] = picture.crop;
  const zoom = own.width / (right - left);
  const info = data.images[picture.image];
  const image = loadedImages[picture.image];
  context.imageSmoothingQuality = 'high';
  if (image) context.drawImage(image, -left * zoom, -top * zoom, info.width * zoom, info.height * zoom);
  let peak = null;
  for (const grid of picture.grids) {
    const places = cellPlaces(grid, left, top, zoom);
    if (row && state.opacity > 0) paintCells(context, picture, grid, places, row, scale);
    if (state.grid) paintGrid(context, places);
    if (row) peak = heaviest(picture, grid, row, peak, places);
    paintMarks(context, picture, grid, places);
  }
  if (peak && peak.weight > 0) ring(context, peak.box);
  if (state.boxes) paintBoxes(context, picture, left, top, zoom);
}

function paintCells(context, picture, grid, { x, y }, row, scale) {
  const colors = imageColors();
  const positions = data.patches[picture.image];
  for (let r = 0; r < grid.rows; r++) {
    for (let c = 0; c < grid.columns; c++) {
      const level = state.analysis.level(row[positions[grid.first + r * grid.columns + c]], scale.image);
      if (Number.isNaN(level)) {
        hatchCell(context, x[c], y[r], x[c + 1] - x[c], y[r + 1] - y[r]);
        continue;
      }
      const step = stepOf(level);
      context.fillStyle = `rgba(${colors[3 * step]},${colors[3 * step + 1]},${colors[3 * step + 2]},${overlayAlpha(step)})`;
      context.fillRect(x[c], y[r], x[c + 1] - x[c], y[r + 1] - y[r]);
    }
  }
}

function heaviest(picture, grid, row, peak, places) {
  const positions = data.patches[picture.image];
  let best = peak;
  for (let patch = grid.first; patch < grid.first + grid.rows * grid.columns; patch++) {
    const weight = row[positions[patch]];
    if (isUsable(weight) && (!best || weight > best.weight)) best = { weight, box: cellBox(grid, places, patch) };
  }
  return best;
}

function paintMarks(context, picture, grid, places) {
  const own = (position) => imageOf[position] === picture.image && patchOf[position] >= grid.first
    && patchOf[position] < grid.first + grid.rows * grid.columns;
  for (const sink of state.analysis ? state.analysis.sinks : []) {
    if (!own(sink.position)) continue;
    sinkDot(context, cellBox(grid, places, patchOf[sink.position]));
  }
  for (const position of state.pinned) {
    if (own(position)) ring(context, cellBox(grid, places, patchOf[position]), themed('box-truth'));
  }
}

function paintBoxes(context, picture, left, top, zoom) {
  context.font = '600 12px system-ui, sans-serif';
  for (const [phrase, image, x0, y0, x1, y1] of data.boxes) {
    if (image !== picture.image) continue;
    const box = [(x0 - left) * zoom, (y0 - top) * zoom, (x1 - x0) * zoom, (y1 - y0) * zoom];
    ring(context, box, themed('box-truth'));
    context.fillStyle = themed('box-truth');
    const wide = context.measureText(phrase).width + 8;
    const x = Math.max(0, Math.min(box[0], (picture.crop[2] - left) * zoom - wide));
    context.fillRect(x, box[1], wide, 16);
    context.fillStyle = themed('box-ink');
    context.fillText(phrase, x + 4, box[1] + 12);
  }
}

/** The position of the patch under the pointer; -1 for none. */
function patchUnder(own, event) {
  const bounds = own.canvas.getBoundingClientRect();
  const [left, top, right] = own.picture.crop;
  const zoom = (right - left) / bounds.width;
  const x = left + (event.clientX - bounds.left) * zoom;
  const y = top + (event.clientY - bounds.top) * zoom;
  for (const grid of own.picture.grids) {
    const c = grid.x.findIndex((edge, i) => i < grid.columns && x >= edge && x < grid.x[i + 1]);
    const r = grid.y.findIndex((edge, i) => i < grid.rows && y >= edge && y < grid.y[i + 1]);
    if (c >= 0 && r >= 0) return data.patches[own.picture.image][grid.first + r * grid.columns + c];
  }
  return -1;
}

function hoverPatch(own, event) {
  const position = patchUnder(own, event);
  if (position < 0) hideTooltip();
  else showTooltip(event, positionFacts(position), () => positionFacts(position));
}

function clickPatch(own, event) {
  const position = patchUnder(own, event);
  if (position >= 0) togglePin(position);
}

whenChanged(() => {
  if (state.view === 'read') {
    measurePictures();
    paintPictures();
  }
});
