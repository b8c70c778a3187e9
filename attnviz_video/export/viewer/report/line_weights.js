// What the lines of one query add up to: the mean over the heads drawn, in the colours of the text panel, and the legend.

/** The legend below the lines. */
const linesLegend = document.getElementById('lines-legend');
/** Height of the bar under a token of the largest weight. */
const ITEM_BAR = 3;
/** The scale's top is a half float: weights that are larger by its rounding alone are not above it. */
const HALF_STEP = 2 ** -10;

/** Weight of a row on an item of the right side; NaN where the row does not see it. */
function itemWeight(row, item) {
  if (item.start >= row.length) return NaN;
  if (item.unit[4] < 0) return sumAsNumpy(row, item.start, Math.min(item.stop, row.length));
  let sum = 0;
  for (let p = item.start; p < item.stop; p++) if (imageOf[p] >= 0) sum += row[p];
  return sum;
}

/** Mean over the heads drawn of a query's weight on every item of the right side: as recorded (`values`), and as level
 * of the text's scale (`levels`; NaN for what the scale has no colour for, such as images and masked sinks).
 */
function meanWeights(query) {
  const step = itemStep(querySide[query]);
  if (step === null || !headsState.sets.length || !state.analysis) return null;
  const row = meanRow(headsState.sets.map(({ rows }) => rows.row(step)));
  const treated = state.analysis.treated(row);
  const scale = state.analysis.scaleOfRow(treated, querySide[query].unit[1] - 1);
  const isShown = (item) => isWanted(querySide[query], item);
  const values = keySide.map((item) => (isShown(item) ? itemWeight(row, item) : NaN));
  const painted = keySide.map((item) => (isShown(item) && item.unit[4] < 0 ? itemWeight(treated, item) : NaN));
  const known = painted.filter((weight) => !Number.isNaN(weight));
  return {
    values,
    levels: painted.map((weight) => state.analysis.level(weight, scale.text)),
    largest: Math.max(...values.filter((value) => !Number.isNaN(value)), 1e-9),
    top: scale.text,
    clipped: scale.textClipped || Math.max(...known, 0) > scale.text * (1 + HALF_STEP),
  };
}

/** The box of an item of the right side and the colour of its letters: as in the text panel. */
function paintItemBox(context, means, index, [x, y, width, height]) {
  if (Number.isNaN(means.values[index])) return themed('ink-faint');
  if (keySide[index].unit[4] >= 0) {
    context.fillStyle = themed('chip');
    context.fillRect(x, y, width, height);
    return themed('ink');
  }
  const level = means.levels[index];
  if (Number.isNaN(level)) {
    context.fillStyle = themed('nan-ground');
    context.fillRect(x, y, width, height);
    hatchCell(context, x, y, width, height);
    return themed('ink');
  }
  const styles = tokenStyles();
  const step = stepOf(level);
  context.fillStyle = styles.box[step];
  context.fillRect(x, y, width, height);
  const bar = Math.round(level * ITEM_BAR);
  context.fillStyle = themed('token-bar');
  if (bar) context.fillRect(x, y + height - bar, width, bar);
  return themed(styles.ink[step].includes('dark') ? 'token-dark_letters' : 'token-light_letters');
}

/** Says what the colours on the right mean. */
function paintLinesLegend(means) {
  if (!means) return;
  const styles = tokenStyles();
  paintLegend(linesLegend, 'text', (step) => styles.box[step], means.top, means.clipped);
  const names = headsState.sets.map(({ head }) => (head === 'mean' ? 'mean over heads' : `head ${head}`));
  linesLegend.append(make('span', 'soft', names.length === 1 ? names[0] : `mean of the ${names.length} heads drawn`));
}
