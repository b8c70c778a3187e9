// Rows to what is painted: convention, sinks, scale, levels. The formulas are those of the Python package
// (analysis/sinks.py, analysis/scale.py), which a test compares number by number.

/** The answer token whose row is shown while `step` is current; null where there is none. */
function rowStepOf(step, convention) {
  const wanted = convention === 'predicting' ? step : step + 1;
  return frameSet.has(wanted) && rowNumber.has(wanted) ? wanted : null;
}

/** One layer and head with its settings: sinks, scale, and the weights of every frame. */
class Analysis {
  constructor(rows, settings) {
    this.rows = rows;
    this.settings = settings;
    this.units = data.units[settings.showPrompt].filter((unit) => unit[4] < 0);
    this.rowSteps = data.frames.map((step) => rowStepOf(step, settings.convention));
    this.tallySinks();
    this.sinkSet = new Set(this.sinks.map((sink) => sink.position));
    this.unitSinks = this.units.map((unit) => this.sinks.some((s) => s.position >= unit[0] && s.position < unit[1]));
    this.tops = settings.scale === 'shared' ? this.sharedTops() : null;
  }

  tallySinks() {
    const n = data.nPositions;
    const sum = new Float64Array(n);
    const seen = new Uint32Array(n);
    const high = new Uint32Array(n);
    const text = [];
    const patches = [];
    for (let position = 0; position < n; position++) (imageOf[position] < 0 ? text : patches).push(position);
    let count = 0;
    for (const step of this.rowSteps) {
      if (step === null) continue;
      count++;
      const row = this.rows.row(step);
      for (let position = 0; position < row.length; position++) {
        if (!isUsable(row[position])) continue;
        sum[position] += row[position];
        seen[position]++;
      }
      markHigh(row, text, TEXT_SHARE, high);
      markHigh(row, patches, IMAGE_SHARE, high);
    }
    this.mean = sum.map((value, position) => value / Math.max(seen[position], 1));
    this.sinks = [];
    for (let position = 0; position < n && count; position++) {
      let found = high[position] >= PRESENCE * count;
      if (count < MIN_STEPS && position >= FIRST_POSITIONS) found = false;
      if (position < FIRST_POSITIONS && !high[position]) found = false;
      if (found) this.sinks.push({ position, weight: this.mean[position] });
    }
    this.sinks.sort((one, other) => other.weight - one.weight);
  }

  /** The recorded row behind frame `number`; null where the convention has none. */
  row(number) {
    const step = this.rowSteps[number];
    return step === null ? null : this.rows.row(step);
  }

  /** `row` with the sinks treated as the settings say. */
  treated(row) {
    if (row === null || this.settings.sinks === 'raw') return row;
    const result = Float32Array.from(row);
    if (this.settings.sinks === 'mask') {
      for (const sink of this.sinks) if (sink.position < row.length) result[sink.position] = NaN;
    } else {
      for (let i = 0; i < row.length; i++) result[i] = row[i] / Math.max(this.mean[i], SMALLEST_MEAN);
    }
    return result;
  }

  /** Sum of the tokens of a display unit; NaN where the row does not see all of it. */
  unitWeight(row, unit) {
    return row === null || unit[1] > row.length ? NaN : sumAsNumpy(row, unit[0], unit[1]);
  }

  /** Adds the weights that frame `number` paints to histograms of half floats: text, image, the sinks of each, and the
   * largest of each. */
  tally(number, bins) {
    const row = this.treated(this.row(number));
    if (row !== null) this.tallyRow(row, nPrompt + data.frames[number], bins);
  }

  /** The same for a treated row of the query at position `limit`, the last that counts. */
  tallyRow(row, limit, bins) {
    const peaks = [-1, -1];
    const add = (region, isSink, weight) => {
      if (!isUsable(weight)) return;
      const bits = halfBits(weight);
      bins[isSink ? region + 2 : region][bits]++;
      if (!isSink) peaks[region] = Math.max(peaks[region], bits);
    };
    for (let index = 0; index < this.units.length; index++) {
      const [start, stop] = this.units[index];
      if (stop > limit && !(isEncoding && start > limit)) continue;
      add(0, this.unitSinks[index], this.unitWeight(row, this.units[index]));
    }
    data.patches.forEach((positions, image) => {
      const painted = data.painted && data.painted[image];
      positions.forEach((position, patch) => {
        if (!painted || painted[patch]) add(1, this.sinkSet.has(position), row[position]);
      });
    });
    peaks.forEach((bits, region) => {
      if (bits >= 0) bins[region + 4][bits]++;
    });
  }

  sharedTops() {
    const bins = emptyBins();
    for (let number = 0; number < data.frames.length; number++) this.tally(number, bins);
    return topsOf(bins, COVERED, this.settings.scope === 'joint');
  }

  /** The scale of frame `number`: top weights of text and image, and whether larger ones exist. */
  scale(number) {
    if (this.tops) return this.tops;
    const bins = emptyBins();
    this.tally(number, bins);
    return topsOf(bins, 1, this.settings.scope === 'joint');
  }

  /** The scale of a treated row of other heads, whose query is at `position`: the shared one, or its own. */
  scaleOfRow(row, position) {
    if (this.tops) return this.tops;
    const bins = emptyBins();
    this.tallyRow(row, position, bins);
    return topsOf(bins, 1, this.settings.scope === 'joint');
  }

  /** The level (0 to 1) of a weight under a top; NaN for what is no weight. */
  level(weight, top) {
    if (!isUsable(weight)) return NaN;
    return Math.min(1, Math.fround(weight) / Math.fround(top)) ** state.gamma;
  }
}

/** Where a row's weight lies: on each image, on sinks, and how it is spread. */
function rowFacts(row, sinks) {
  let total = 0;
  let largest = -Infinity;
  const images = data.images.map(() => 0);
  for (let position = 0; position < row.length; position++) {
    const weight = isUsable(row[position]) ? row[position] : 0;
    total += weight;
    if (weight > largest) largest = weight;
    if (imageOf[position] >= 0) images[imageOf[position]] += weight;
  }
  const scale = total || 1;
  let entropy = 0;
  for (const value of row) if (isUsable(value) && value > 0) entropy -= (value / scale) * Math.log(value / scale);
  let sinkSum = 0;
  for (const sink of sinks) if (sink.position < row.length && isUsable(row[sink.position])) sinkSum += row[sink.position];
  return { sum: total, largest, entropy, images: images.map((w) => w / scale), sinkShare: sinkSum / scale, keys: row.length };
}

/** So many of a row's largest weights are told together. */
const TOP_KEYS = 10;

/** What part of a row's sum its `count` largest weights make. */
function topShare(row, count) {
  const sorted = Float64Array.from(row).filter(isUsable).sort();
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  return sum(sorted.slice(-count)) / (sum(sorted) || 1);
}
