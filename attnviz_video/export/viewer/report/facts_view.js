// Facts: model, text and recording, and the statistics of the row shown.

function buildFacts() {
  const groups = data.facts.map(([title, facts]) => card(title, factList(facts)));
  const held = Object.values(data.coding);
  const short = held.filter((coding) => coding === 'short').length;
  const page = [
    ['rows of head means', data.meanLayers.length ? `${data.meanLayers.length} layers` : 'none'],
    ['rows of single heads', data.headLayers.length ? layerRanges(data.headLayers) : 'none'],
    ['weights', short === 0 ? 'as recorded (float16)' : short === held.length ? 'rounded to 5 digits after the point'
      : 'rounded to 5 digits after the point, some as recorded'],
    [`${stepWord}s with rows`, `${data.rowSteps.length} of ${data.steps.length}`],
    ...(isEncoding ? [] : [['rows of the prompt', data.promptRows ? 'yes, in “Token lines”' : 'no']]),
  ];
  groups.push(card('In this page', factList(page)));
  document.getElementById('view-facts').replaceChildren(make('div', 'columns', rowStatistics(), ...groups));
}

/** `layers 0–21`, `layers 3, 7–9`. */
function layerRanges(layers) {
  const found = [];
  for (const layer of layers) {
    const last = found[found.length - 1];
    if (last && layer === last[1] + 1) last[1] = layer;
    else found.push([layer, layer]);
  }
  const words = found.map(([first, last]) => (first === last ? String(first) : `${first}–${last}`)).join(', ');
  return `layer${layers.length > 1 ? 's' : ''} ${words}`;
}

function rowStatistics() {
  const row = shownRow();
  const own = card(`Row shown: layer ${state.layer}, ${headName(state.head)}, ${stepWord} ${state.frame + 1}`);
  own.id = 'row-statistics';
  if (!row) {
    own.append(make('p', 'soft', 'no row'));
    return own;
  }
  const sorted = Float32Array.from(row).filter(isUsable).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  const facts = rowFacts(row, state.analysis.sinks);
  let text = 1;
  for (const share of facts.images) text -= share;
  own.append(factList([
    ['keys', row.length], ['sum', facts.sum.toFixed(4)], ['mean', weightText(facts.sum / sorted.length, coding())],
    ['smallest', weightText(sorted[0], coding())], ['median', weightText(at(0.5), coding())],
    ['99th percentile', weightText(at(0.99), coding())], ['largest', weightText(facts.largest, coding())],
    ['ten largest together', percent(topShare(row, TOP_KEYS))], ['entropy', `${facts.entropy.toFixed(3)} nat`],
    ['text', percent(text)], ...facts.images.map((share, image) => [`image ${image + 1}`, percent(share)]),
    ['sinks', state.analysis.sinks.map((sink) => `${inline(textOf(sink.position))} (${sink.position}) ${shortWeight(sink.weight)}`).join(', ') || 'none found'],
    ['no weight (NaN, negative)', row.length - sorted.length],
  ]));
  return own;
}

function headName(head) {
  if (head === 'rollout') return 'rollout from layer 0';
  return /^\d+$/.test(head) ? `head ${head}` : `${head} over heads`;
}

whenChanged((changed) => {
  if (state.view !== 'facts') return;
  if (changed.has('view')) buildFacts();
  const old = document.getElementById('row-statistics');
  if (old) old.replaceWith(rowStatistics());
});
