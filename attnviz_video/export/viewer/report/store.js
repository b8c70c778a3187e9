// The data of the page: JSON at once, rows when they are asked for.

const data = JSON.parse(document.getElementById('data').textContent);
const nPrompt = data.nPrompt;
/** One pass of an encoder over a text: every token is current once, and its row sees all of them. */
const isEncoding = data.kind === 'encoding';
/** What the page goes through. */
const stepWord = isEncoding ? 'token' : 'step';
/**
 * The row number of every query that has a row, by the answer token that it produced; a negative number stands for a
 * query of the prompt: -1 is the one before step 0. Prompt rows come first in every block.
 */
const nPromptRows = data.promptRows ? nPrompt - 1 : 0;
const rowNumber = new Map(data.rowSteps.map((step, number) => [step, nPromptRows + number]));
for (let query = 0; query < nPromptRows; query++) rowNumber.set(query - nPrompt + 1, query);
const frameSet = new Set(data.frames);
const nColumns = isEncoding ? data.nPositions : nPrompt + (data.rowSteps.length ? Math.max(...data.rowSteps) : 0);
/** 1 for patches, 0 for text, per position; the image of every patch. */
const imageOf = new Int16Array(data.nPositions).fill(-1);
const patchOf = new Int32Array(data.nPositions).fill(-1);
data.patches.forEach((positions, image) => positions.forEach((position, patch) => {
  imageOf[position] = image;
  patchOf[position] = patch;
}));

/** The bytes of a text of `text_of` (export/report_rows.py): 13 bits to two characters of 91. */
function bytesOfText(text) {
  const digits = new Uint8Array(128);
  let digit = 0;
  for (let code = 33; code < 127; code++) if (!'<&"'.includes(String.fromCharCode(code))) digits[code] = digit++;
  const bytes = new Uint8Array(Math.floor((text.length / 2) * 13 / 8));
  let held = 0;
  let bits = 0;
  let at = 0;
  for (let i = 0; i < text.length; i += 2) {
    held = (held << 13) | (digits[text.charCodeAt(i)] * 91 + digits[text.charCodeAt(i + 1)]);
    bits += 13;
    while (bits >= 8) {
      bits -= 8;
      bytes[at++] = held >> bits;
    }
    held &= (1 << bits) - 1;
  }
  const length = bytes[0] + bytes[1] * 256 + bytes[2] * 65536 + bytes[3] * 16777216;
  return bytes.subarray(4, 4 + length);
}

async function inflate(text) {
  const stream = new Blob([bytesOfText(text)]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The weights of a short code; see export/report_rows.py. */
const shortFloats = (() => {
  let table = null;
  return () => {
    if (table) return table;
    table = new Float32Array(65536);
    for (let code = 0; code < 65535; code++) table[code] = code <= 50000 ? code / 1e5 : 0.5 + (code - 50000) / 1e4;
    table[65535] = NaN;
    return table;
  };
})();

/** Rows of one layer and head: a float32 matrix [steps, positions], and how exact it is. */
class RowSet {
  constructor(values, coding) {
    this.values = values;
    this.coding = coding;
  }

  /** The row that produced answer token `step`; what it does not see is left out. */
  row(step) {
    const start = rowNumber.get(step) * nColumns;
    return this.values.subarray(start, start + (isEncoding ? nColumns : nPrompt + step));
  }
}

const KEPT_SETS = 72;
const keptSets = new Map();

function remember(name, promise) {
  keptSets.delete(name);
  keptSets.set(name, promise);
  if (keptSets.size > KEPT_SETS) keptSets.delete(keptSets.keys().next().value);
  return promise;
}

function blockName(layer, head) {
  return `rows-${layer}-${head}`;
}

function hasBlock(layer, head) {
  return blockName(layer, head) in data.coding;
}

/** Whether all heads of the model are stored one by one. */
const hasEveryHead = data.heads.length === data.nHeads;

/** Whether rows of `layer` can be shown for `head`: "mean", "max", or a number. */
function canShow(layer, head) {
  if (hasBlock(layer, head)) return true;
  return (head === 'mean' || head === 'max') && data.headLayers.includes(layer) && hasEveryHead;
}

/** The `RowSet` of a layer and head, inflated or worked out when it is first asked for. */
function rowsOf(layer, head) {
  const name = blockName(layer, head);
  return remember(name, keptSets.get(name) || (hasBlock(layer, head) ? readBlock(name) : reduceHeads(layer, head)));
}

async function readBlock(name) {
  const coding = data.coding[name];
  const bytes = await inflate(document.getElementById(name).textContent);
  const table = coding === 'short' ? shortFloats() : halfFloats();
  const order = new Uint32Array(bytes.buffer, bytes.byteOffset, nColumns);
  const nRows = nPromptRows + data.rowSteps.length;
  const low = 4 * nColumns;
  const high = low + nColumns * nRows;
  const values = new Float32Array(nRows * nColumns);
  for (let place = 0; place < nColumns; place++) {
    const column = order[place];
    for (let row = 0; row < nRows; row++) {
      const at = place * nRows + row;
      values[row * nColumns + column] = table[bytes[low + at] | (bytes[high + at] << 8)];
    }
  }
  return new RowSet(values, coding);
}

async function reduceHeads(layer, head) {
  const sets = await Promise.all(data.heads.map((number) => readBlock(blockName(layer, number))));
  const values = new Float32Array(sets[0].values.length);
  for (let i = 0; i < values.length; i++) {
    let reduced = head === 'max' ? -Infinity : 0;
    for (const set of sets) {
      const value = set.values[i];
      reduced = head === 'max' ? (Number.isNaN(value) || value > reduced ? value : reduced) : reduced + value / sets.length;
      if (Number.isNaN(reduced)) break;
    }
    values[i] = reduced;
  }
  return new RowSet(values, sets.some((set) => set.coding === 'short') ? 'short' : 'exact');
}

/** Scalars of all layers and heads as recorded; null where the trace has none. */
const scalars = { layers: [], values: null };

async function loadScalars() {
  if (!data.scalars) return;
  const bytes = await inflate(data.scalars.values);
  const count = bytes.length / 2;
  scalars.values = Uint16Array.from({ length: count }, (_, i) => bytes[i] | (bytes[count + i] << 8));
  scalars.layers = data.scalars.layers;
}

/** Kinds of scalars: "share 0" (of image 0) …, "first", "maximum", "entropy". */
function scalar(kind, step, layer, head) {
  const place = scalars.layers.indexOf(layer);
  if (!scalars.values || place < 0 || step < 0 || !rowNumber.has(step)) return NaN;
  const nImages = data.images.length;
  const index = kind === 'entropy' ? nImages + 2 : kind === 'maximum' ? nImages + 1 : kind === 'first' ? nImages
    : Number(kind.slice(6));
  const nRows = data.rowSteps.length;
  const at = ((index * nRows + rowNumber.get(step) - nPromptRows) * scalars.layers.length + place) * data.nHeads + head;
  const code = scalars.values[at];
  return code === 65535 ? NaN : code / (kind === 'entropy' ? 1000 : 10000);
}

/** Mean of a scalar over all heads of a layer. */
function meanScalar(kind, step, layer) {
  let sum = 0;
  for (let head = 0; head < data.nHeads; head++) sum += scalar(kind, step, layer, head);
  return sum / data.nHeads;
}

/** What an image share is in all, over the images. */
function imageShare(step, layer, head) {
  let sum = 0;
  for (let image = 0; image < data.images.length; image++) {
    sum += head === null ? meanScalar(`share ${image}`, step, layer) : scalar(`share ${image}`, step, layer, head);
  }
  return sum;
}
