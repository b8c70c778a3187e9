// The scale of colours and what counts as an attention sink, step by step. The formulas and their numbers are those of
// the Python package (analysis/sinks.py, analysis/scale.py).

const SINK_FACTOR = 5;
const TEXT_SHARE = 0.1;
const IMAGE_SHARE = 0.03;
const PRESENCE = 0.9;
const MIN_STEPS = 8;
const FIRST_POSITIONS = 4;
const SMALLEST_MEAN = 2 ** -14;
const COVERED = 0.995;
const COVERED_PEAKS = 0.9;
const SMALLEST_TOP = 2 ** -24;
const N_BINS = 0x7c00;

const isUsable = (weight) => weight >= 0 && weight < Infinity;

function emptyBins() {
  return [0, 1, 2, 3, 4, 5].map(() => new Uint32Array(N_BINS));
}

function markHigh(row, positions, share, high) {
  const own = [];
  for (const position of positions) if (position < row.length) own.push(position);
  if (!own.length) return;
  const weights = Float32Array.from(own, (position) => (isUsable(row[position]) ? row[position] : 0));
  let sum = 0;
  for (const weight of weights) sum += weight;
  const sorted = Float32Array.from(weights).sort();
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : Math.fround((sorted[middle - 1] + sorted[middle]) / 2);
  const threshold = Math.fround(Math.max(SINK_FACTOR * median, share * sum));
  own.forEach((position, index) => {
    if (weights[index] >= threshold && weights[index] > 0) high[position]++;
  });
}

function quantile(histograms, share) {
  let total = 0;
  for (const bins of histograms) for (const count of bins) total += count;
  if (!total) return 0;
  const rank = Math.max(1, Math.ceil(share * total));
  let passed = 0;
  for (let bits = 0; bits < N_BINS; bits++) {
    for (const bins of histograms) passed += bins[bits];
    if (passed >= rank) return halfFloats()[bits];
  }
  return 0;
}

function topsOf(bins, covered, joint) {
  const largest = (regions) => Math.max(...regions.flatMap((r) => [quantile([bins[r]], 1), quantile([bins[r + 2]], 1)]));
  const top = (regions) => {
    const weights = regions.map((region) => bins[region]);
    const peak = Math.max(...regions.map((region) => quantile([bins[region + 4]], COVERED_PEAKS)));
    return Math.max(quantile(weights, covered), peak) || quantile(weights, 1) || largest(regions) || SMALLEST_TOP;
  };
  const tops = joint ? [top([0, 1]), top([0, 1])] : [top([0]), top([1])];
  return { text: tops[0], image: tops[1], textClipped: largest([0]) > tops[0], imageClipped: largest([1]) > tops[1] };
}

/** Mean of several rows; a key that a row cannot see takes no weight of it. */
function meanRow(rows) {
  const mean = new Float64Array(Math.max(...rows.map((row) => row.length)));
  for (const row of rows) for (let i = 0; i < row.length; i++) mean[i] += row[i] / rows.length;
  return Float32Array.from(mean);
}

/** How many weights of a row are larger, and how many are equal: the rank and its ties. */
function rankOf(row, position) {
  const own = row[position];
  let larger = 0;
  let equal = 0;
  for (const value of row) {
    if (value > own) larger++;
    else if (value === own) equal++;
  }
  return { rank: larger + 1, ties: equal };
}
