// One run as its events tell it: tokens, rows, candidates; what is shown as one box; the scale so far.

/** Controls, direction marks and the like written out as in the report (export/report/text.py); newlines stay. */
function plain(text) {
  return String(text ?? '').replace(/\t/g, '⇥').replace(/(?!\n)[\p{C}\u2028\u2029]/gu, (character) => (
    `⟨U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`)).replace(/^(?=\p{M})/u, '\u25cc');
}

/** Float32 weights of base64 of little-endian half floats. */
function weightsOf(text) {
  const bytes = bytesOfBase64(text);
  const table = halfFloats();
  const weights = new Float32Array(bytes.length >> 1);
  for (let i = 0; i < weights.length; i++) weights[i] = table[bytes[2 * i] | (bytes[2 * i + 1] << 8)];
  return weights;
}

const ENDED = ['done', 'stopped', 'failed'];

class LiveRun {
  constructor(id) {
    this.id = id;
    /** What GET /api/runs/ID says: prompt, settings, answer. */
    this.info = null;
    this.status = 'opening';
    /** Runs before it in the queue. */
    this.place = null;
    this.error = '';
    this.nPrompt = 0;
    this.nPrefix = 0;
    this.tokens = [];
    this.images = [];
    /** Per image the positions of its patches. */
    this.patches = [];
    this.steps = [];
    this.newest = -1;
    /** What is shown as one box: {first, stop, text, kind, image, given, whole}. */
    this.units = [];
    this.unitOf = [];
    /** Where the sections of the answer begin: [number of the token, segment]. */
    this.sections = [[0, 'other']];
    this.scale = null;
    /** Whether the page looked on while it was written. */
    this.watched = false;
  }

  get ended() {
    return ENDED.includes(this.status);
  }

  get mode() {
    return this.info?.mode ?? 'generate';
  }

  takePrompt(told) {
    if (this.tokens.length) return;
    this.nPrompt = told.n_prompt;
    this.nPrefix = told.n_prefix ?? 0;
    this.layer = told.layer;
    this.nLayers = told.n_layers;
    this.heads = told.heads;
    this.limit = told.max_new_tokens;
    this.notices = told.notices ?? [];
    this.images = told.images ?? [];
    this.patches = this.images.map((image) => image.positions);
    const { id, text, kind, image, patch } = told.tokens;
    this.tokens = id.map((_, at) => ({ id: id[at], text: plain(text[at]), kind: kind[at], image: image[at], patch: patch[at] }));
    this.unitOf = new Array(told.shown_from ?? 0).fill(-1);
    for (const [first, stop, words, special, ofImage] of told.units) {
      if (first < this.unitOf.length) continue;
      const chip = ofImage >= 0;
      this.addUnit({
        first, stop, text: chip ? this.imageName(ofImage) : plain(words), kind: chip ? 'chip' : special ? 'special' : '', image: ofImage, whole: true,
      });
    }
    this.scale = new LiveScale(this);
  }

  addUnit(unit) {
    for (let position = unit.first; position < unit.stop; position++) this.unitOf[position] = this.units.length;
    this.units.push(unit);
  }

  /** Takes a step; one that is known already, or does not follow the last one, is left aside. */
  takeStep(told) {
    const position = this.nPrompt + told.step;
    const row = told.weights ? weightsOf(told.weights) : null;
    if (!this.scale || position !== this.tokens.length || (row && row.length !== position)) return;
    this.tokens.push({ id: told.id, text: plain(told.text), kind: told.special ? 'special' : 'text', image: -1, patch: -1 });
    this.addAnswer(position, told);
    this.sections = told.sections ?? this.sections;
    const sum = (own) => own.reduce((so, at) => so + (isUsable(row[at]) ? row[at] : 0), 0);
    this.steps.push({
      number: told.step, position, row,
      shares: told.image_shares?.length === this.images.length ? told.image_shares : this.patches.map((own) => (row ? sum(own) : NaN)),
      probability: told.probability ?? NaN, ms: told.ms ?? NaN, top: told.top ?? [],
      imageShare: told.image_share ?? NaN, entropy: told.entropy ?? NaN,
    });
    this.newest = told.step;
    if (row) this.scale.add(this.steps[told.step]);
  }

  /** The box of an answer token: of its own, or the one of the character whose bytes it goes on with. */
  addAnswer(position, told) {
    const last = this.units[this.units.length - 1];
    const open = last && last.answer && !last.whole ? last : null;
    const complete = (unit, text) => Object.assign(unit, { text: plain(text), whole: true, changed: true });
    // Bytes that turned out to be no character.
    if (open && told.late) complete(open, told.late);
    if (open && !open.whole && !told.special) {
      this.unitOf[position] = this.units.length - 1;
      open.stop = position + 1;
      if (told.text) complete(open, told.text);
      return;
    }
    this.addUnit({
      first: position, stop: position + 1, text: plain(told.text), kind: told.special ? 'special' : '', image: -1,
      answer: true, given: position < this.nPrompt + this.nPrefix, whole: Boolean(told.text),
    });
  }

  /** The segment that a unit is shown in: that of its last token. */
  segmentOf(unit) {
    const token = unit.stop - 1 - this.nPrompt;
    if (token < 0) return 'prompt';
    return this.sections.findLast(([first]) => first <= token)?.[1] ?? 'other';
  }

  imageName(image) {
    const info = this.images[image];
    const grid = info?.grids?.[0];
    const cells = grid && info.grids.length === 1 ? ` · ${grid.rows} × ${grid.columns} patches` : '';
    return `${this.images.length > 1 ? `image ${image + 1}` : 'image'}${cells}`;
  }

  /** The tokens of the answer without the special ones that end it. */
  answerTokens() {
    const own = this.tokens.slice(this.nPrompt);
    while (own.length && own[own.length - 1].kind === 'special') own.pop();
    return own;
  }

  /** The ids of the tokens that make up `text`, where it is the answer or its beginning; null where it is not. */
  idsOf(text) {
    const ids = [];
    let rest = plain(text);
    for (const token of this.answerTokens()) {
      if (!rest || !rest.startsWith(token.text)) break;
      rest = rest.slice(token.text.length);
      ids.push(token.id);
    }
    return rest ? null : ids;
  }

  /** How a position is called: its token's text, or its patch's place. */
  nameOf(position) {
    const token = this.tokens[position];
    if (token.kind !== 'patch') return inline(token.text) || 'part of a character';
    for (const grid of this.images[token.image].grids) {
      const place = token.patch - grid.first;
      if (place < 0 || place >= grid.rows * grid.columns) continue;
      const several = this.images.length > 1 ? `image ${token.image + 1}, ` : '';
      return `${several}row ${Math.floor(place / grid.columns) + 1}, column ${(place % grid.columns) + 1}`;
    }
    return `patch ${token.patch}`;
  }

  /** Tokens per second over the last steps, by the server's clock; NaN before the second. */
  rate() {
    const times = [];
    for (let step = this.newest; step >= 0 && times.length < 24; step--) {
      const own = this.steps[step];
      // The first step holds the whole prompt.
      if (own && own.ms > 0 && step > this.nPrefix) times.push(own.ms);
    }
    return times.length ? (1000 * times.length) / times.reduce((sum, ms) => sum + ms, 0) : NaN;
  }
}

/** Rows up to which the scale is worked out at every step. */
const OFTEN = 48;

/** Sinks and scale of the rows that have come so far: at the end those of the report's "whole answer". */
class LiveScale {
  constructor(run) {
    this.run = run;
    this.nRows = 0;
    this.high = [];
    this.sum = [];
    this.seen = [];
    this.sinks = new Set();
    this.bins = emptyBins();
    this.textPositions = [];
    this.nSorted = 0;
    this.patchPositions = run.patches.flat();
    // A picture's smaller copy beside its tiles is not painted.
    this.paintedPatches = run.images.flatMap((image, number) => image.grids.flatMap((grid) => (
      run.patches[number].slice(grid.first, grid.first + grid.rows * grid.columns))));
    this.tops = null;
  }

  add(step) {
    const { row } = step;
    for (; this.nSorted < row.length; this.nSorted++) {
      if (this.run.tokens[this.nSorted].kind !== 'patch') this.textPositions.push(this.nSorted);
    }
    for (let position = this.high.length; position < row.length; position++) {
      this.high[position] = this.sum[position] = this.seen[position] = 0;
    }
    for (let position = 0; position < row.length; position++) {
      if (!isUsable(row[position])) continue;
      this.sum[position] += row[position];
      this.seen[position]++;
    }
    markHigh(row, this.textPositions, TEXT_SHARE, this.high);
    markHigh(row, this.patchPositions, IMAGE_SHARE, this.high);
    this.nRows++;
    this.tally(step);
    // Sinks come and go slowly; every change counts all weights anew.
    if (this.nRows <= MIN_STEPS || this.nRows % MIN_STEPS === 0) this.findSinks();
    // So does the scale once there are many rows.
    if (this.nRows <= OFTEN || this.nRows % MIN_STEPS === 0) this.tops = topsOf(this.bins, COVERED, false);
  }

  /** Sinks and scale of all rows, with the boxes of the text as they are now. */
  finish() {
    if (!this.nRows) return;
    this.findSinks(true);
    this.tops = topsOf(this.bins, COVERED, false);
  }

  findSinks(always = false) {
    const found = new Set();
    for (let position = 0; position < this.high.length; position++) {
      if (this.high[position] < PRESENCE * this.nRows || !this.high[position]) continue;
      if (this.nRows >= MIN_STEPS || position < FIRST_POSITIONS) found.add(position);
    }
    const same = found.size === this.sinks.size && [...found].every((position) => this.sinks.has(position));
    if (same && !always) return;
    this.sinks = found;
    this.bins = emptyBins();
    for (const step of this.run.steps) if (step.row) this.tally(step);
  }

  /** Adds the weights of one row to the histograms: text, image, the sinks of each, and the largest of each. */
  tally({ row, position }) {
    const peaks = [-1, -1];
    const add = (region, isSink, weight) => {
      if (!isUsable(weight)) return;
      const bits = halfBits(weight);
      this.bins[isSink ? region + 2 : region][bits]++;
      if (!isSink) peaks[region] = Math.max(peaks[region], bits);
    };
    for (const unit of this.run.units) {
      if (unit.stop > position) break;
      if (unit.image < 0 && unit.whole) add(0, this.isSink(unit), sumAsNumpy(row, unit.first, unit.stop));
    }
    for (const patch of this.paintedPatches) add(1, this.sinks.has(patch), row[patch]);
    peaks.forEach((bits, region) => { if (bits >= 0) this.bins[region + 4][bits]++; });
  }

  isSink(unit) {
    if (!this.sinks.size || unit.image >= 0) return false;
    for (let position = unit.first; position < unit.stop; position++) if (this.sinks.has(position)) return true;
    return false;
  }

  mean(position) {
    return this.sum[position] / Math.max(1, this.seen[position]);
  }
}

/** The level (0 to 1) of a weight under a top; NaN for what is no weight. */
function levelOf(weight, top) {
  return isUsable(weight) ? Math.min(1, Math.fround(weight) / Math.fround(top)) : NaN;
}
