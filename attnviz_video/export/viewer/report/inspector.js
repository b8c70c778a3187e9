// The column of details: the current token and its candidates, the row, what is pinned; and the legends.

const inspector = document.getElementById('inspector');
const MOST_READERS = 8;

function card(title, ...content) {
  return make('section', 'card', make('h2', '', title), ...content);
}

function currentCard() {
  const step = data.frames[state.frame];
  const [logProbability] = data.steps[step];
  const facts = [['token id', data.tokens.ids[nPrompt + step]], ['position', nPrompt + step]];
  if (logProbability !== null) facts.unshift(['probability', probabilityText(Math.exp(logProbability))]);
  const token = make('p', 'token-line', make('span', 'u current-token', inline(textOf(nPrompt + step)) || ' '));
  const title = `${isEncoding ? 'Token' : 'Step'} ${state.frame + 1} of ${data.frames.length}`;
  if (isEncoding && shownRow()) facts.push(['on itself', weightText(shownRow()[nPrompt + step], coding())]);
  const own = card(title, token, factList(facts), ...candidatesOf(step));
  own.id = 'current-card';
  return own;
}

function rowCard() {
  const row = shownRow();
  const several = state.brushed.length > 1;
  const title = several ? `Mean of ${state.brushed.length} rows` : 'Its row';
  if (!state.analysis) return card(title, make('p', 'notice', state.problem || 'reading …'));
  if (!row) return card(title, make('p', 'soft', 'No row: nothing was written after the last token (convention “reading”).'));
  const facts = rowFacts(row, state.analysis.sinks);
  const list = [
    ...facts.images.map((share, image) => [data.images.length > 1 ? `on image ${image + 1}` : 'on the image', percent(share)]),
    ['on sinks', percent(facts.sinkShare)],
    ['entropy', `${facts.entropy.toFixed(2)} nat`],
    ['spread as over', `${Math.exp(facts.entropy).toFixed(Math.exp(facts.entropy) < 10 ? 1 : 0)} even keys`],
    ['largest weight', weightText(facts.largest, coding())],
    ['ten largest together', percent(topShare(row, TOP_KEYS))],
    ['sum', facts.sum.toFixed(3)],
    ['keys', facts.keys],
  ];
  const own = card(title, factList(list));
  if (several) own.append(button(`back to one ${stepWord} (Esc)`, `Show the current ${stepWord} again`, clearMarks, 'wide'));
  return own;
}

function pinCard() {
  const pinned = [...state.pinned].sort((one, other) => one - other);
  if (!pinned.length) {
    return card('Pin', make('p', 'soft', data.images.length
      ? 'Click a token or a patch to follow it; drag over tokens to see the mean of their rows.'
      : 'Click a token to follow it; drag over tokens to see the mean of their rows.'));
  }
  const name = pinned.length > 1 ? `${pinned.length} positions` : inline(textOf(pinned[0]));
  const own = card('Pinned', make('p', 'token-line', make('span', 'u pinned', name)));
  own.id = 'pin-card';
  if (!state.analysis) return own;
  const weights = state.analysis.rowSteps.map((step) => (step === null ? NaN : weightOn(state.analysis.rows.row(step), pinned)));
  const known = weights.filter((weight) => !Number.isNaN(weight));
  const now = weights[state.frame];
  const word = pinned.length > 1 ? 'weight now, sum' : 'weight now';
  const facts = state.brushed.length ? [] : [[word, Number.isNaN(now) ? 'not seen' : weightText(now, coding())]];
  if (pinned.length > 1 && facts.length) facts.push(['weight now, mean', Number.isNaN(now) ? '–' : shortWeight(now / pinned.length)]);
  if (known.length) facts.push([`mean over ${stepWord}s`, shortWeight(known.reduce((sum, weight) => sum + weight, 0) / known.length)]);
  own.append(factList(facts), make('h3', '', 'Tokens that read it most'), readers(weights));
  own.append(button('unpin (Esc)', 'Let go of everything that is pinned', clearMarks, 'wide'));
  return own;
}

/** The frames with the largest weights, as bars that lead there. */
function readers(weights) {
  const order = weights.map((weight, number) => [weight, number]).filter(([weight]) => weight > 0)
    .sort((one, other) => other[0] - one[0]).slice(0, MOST_READERS);
  const list = make('ol', 'candidates readers');
  for (const [weight, number] of order) {
    const fill = make('span', 'bar-fill');
    fill.style.width = `${(100 * weight) / order[0][0]}%`;
    const go = button('', `Go to ${stepWord} ${number + 1}`, () => goTo(number), 'reader');
    const word = make('span', 'piece', make('span', 'soft', `${number + 1} `), inline(textOf(nPrompt + data.frames[number])) || ' ');
    go.append(word,
      make('span', 'bar-track', fill), make('span', 'number', weightText(weight, coding())));
    list.append(make('li', number === state.frame ? 'chosen' : '', go));
  }
  return order.length ? list : make('p', 'soft', 'None.');
}

function clearMarks() {
  change({ pinned: new Set(), brushed: [] });
}

function paintLegend(element, name, colors, top, clipped) {
  const ramp = make('span', 'ramp');
  const stops = [];
  for (let step = 0; step < 256; step += 15) stops.push(colors(step));
  ramp.style.backgroundImage = `linear-gradient(to right, ${stops.join(',')})`;
  const unit = state.sinks === 'relative' ? 'attention / its mean' : 'attention weight';
  // A scale that no weight is above 0 on ends at a number that was not measured.
  const empty = top === SMALLEST_TOP && !clipped;
  element.replaceChildren(make('span', 'soft', `${name} ${unit}`), make('span', 'number', empty ? '' : '0'), ramp,
    make('span', 'number', empty ? 'no weight' : `${clipped ? '≥ ' : ''}${shortWeight(top)}`));
  if (state.gamma !== 1) element.append(make('span', 'soft', `γ ${state.gamma}`));
}

function paintLegends() {
  const scale = shownScale();
  const elements = [document.getElementById('text-legend'), document.getElementById('image-legend')];
  for (const element of elements) element.hidden = !scale;
  if (!scale) return;
  const text = tokenStyles();
  paintLegend(elements[0], 'text', (step) => text.box[step], scale.text, scale.textClipped);
  const colors = imageColors();
  const ground = [150, 150, 150];
  paintLegend(elements[1], 'image', (step) => {
    const alpha = overlayAlpha(step);
    return `rgb(${ground.map((value, i) => Math.round(value * (1 - alpha) + colors[3 * step + i] * alpha))})`;
  }, scale.image, scale.imageClipped);
}

whenChanged(() => {
  paintLegends();
  if (state.view !== 'read') return;
  const top = inspector.scrollTop;
  const cards = state.brushed.length > 1 ? [rowCard(), pinCard(), currentCard()]
    : state.pinned.size ? [pinCard(), currentCard(), rowCard()] : [currentCard(), rowCard(), pinCard()];
  inspector.replaceChildren(...cards);
  inspector.scrollTop = top;
});
