// Cells of patches on a canvas: where they stand, the grid between them, hatching for what is no weight, rings.

/** Edges of the cells on the canvas, on whole pixels of the screen, so that no seam shows. */
function cellPlaces(grid, left, top, zoom) {
  const ratio = window.devicePixelRatio || 1;
  const snap = (value) => Math.round(value * ratio) / ratio;
  return { x: grid.x.map((x) => snap((x - left) * zoom)), y: grid.y.map((y) => snap((y - top) * zoom)) };
}

function hatchCell(context, x, y, width, height) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = themed('nan-stroke');
  context.lineWidth = 1.5;
  context.beginPath();
  for (let d = -height; d < width; d += 7) {
    context.moveTo(x + d, y + height);
    context.lineTo(x + d + height, y);
  }
  context.stroke();
  context.restore();
}

function paintGrid(context, { x, y }) {
  const gap = Math.min((x[x.length - 1] - x[0]) / (x.length - 1), (y[y.length - 1] - y[0]) / (y.length - 1));
  if (gap < 5) return;
  context.strokeStyle = `rgba(255,255,255,${gap < 16 ? 0.14 : 0.34})`;
  context.lineWidth = 1;
  context.beginPath();
  for (const at of x) { context.moveTo(at, y[0]); context.lineTo(at, y[y.length - 1]); }
  for (const at of y) { context.moveTo(x[0], at); context.lineTo(x[x.length - 1], at); }
  context.stroke();
}

function cellBox(grid, { x, y }, patch) {
  const r = Math.floor((patch - grid.first) / grid.columns);
  const c = (patch - grid.first) % grid.columns;
  return [x[c], y[r], x[c + 1] - x[c], y[r + 1] - y[r]];
}

/** A white ring in a black one: seen on every picture. */
function ring(context, box, color = themed('peak-inner')) {
  // Around a small cell rather than over it.
  const out = box[2] < 24 || box[3] < 24 ? 4 : 0;
  const [x, y] = [Math.max(0, box[0] - out), Math.max(0, box[1] - out)];
  // The last cells end where the canvas does.
  const ratio = window.devicePixelRatio || 1;
  const width = Math.min(context.canvas.width / ratio, box[0] + box[2] + out) - x;
  const height = Math.min(context.canvas.height / ratio, box[1] + box[3] + out) - y;
  context.lineWidth = 4;
  context.strokeStyle = themed('peak-outer');
  context.strokeRect(x + 1, y + 1, width - 2, height - 2);
  context.lineWidth = 2;
  context.strokeStyle = color;
  context.strokeRect(x + 1, y + 1, width - 2, height - 2);
}

/** The mark of an attention sink in the middle of its cell. */
function sinkDot(context, [x, y, width, height]) {
  context.beginPath();
  context.arc(x + width / 2, y + height / 2, Math.max(2.5, Math.min(5, width / 5)), 0, 7);
  context.fillStyle = themed('sink-fill');
  context.fill();
  context.strokeStyle = themed('sink-rim');
  context.lineWidth = 1;
  context.stroke();
}
