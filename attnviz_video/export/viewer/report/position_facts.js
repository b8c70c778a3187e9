// What is said of a position: its weight, its rank, its number; of the current token its candidates.

/** The ten candidates of a step as bars of their raw probabilities. */
function candidateBars(step) {
  const [, , candidates] = data.steps[step];
  const list = make('ol', 'candidates');
  if (!candidates.length) return make('p', 'soft', 'No probabilities were recorded (a replayed answer has none).');
  for (const [id, piece, probability] of candidates) {
    const bar = make('span', 'bar-fill');
    bar.style.width = `${100 * (probability ?? 0)}%`;
    const row = make('li', id === data.tokens.ids[nPrompt + step] ? 'chosen' : '',
      make('span', 'piece', inline(piece)), make('span', 'bar-track', bar), make('span', 'number', probabilityText(probability)));
    row.title = `token id ${id}`;
    list.append(row);
  }
  return list;
}

/** What the model would write at a step: nothing in an encoding, but at its mask tokens. */
function candidatesOf(step) {
  if (!isEncoding) return [candidateBars(step)];
  if (!data.steps[step][2].length) return [];
  return [make('p', 'soft', 'What the model would put here'), candidateBars(step)];
}

/** What the tooltip says of a position: its weight in the row shown, its rank, its number; or its candidates. */
function positionFacts(position) {
  const content = [make('strong', 'tip-title', inline(textOf(position)))];
  const frame = data.frames.indexOf(position - nPrompt);
  if (!state.brushed.length && position === currentPosition()) {
    const [logProbability] = data.steps[frame === -1 ? 0 : data.frames[frame]];
    const row = isEncoding ? shownRow() : null;
    const facts = isEncoding ? [['weight on itself', row ? weightText(row[position], coding()) : 'no row']]
      : [['probability', logProbability === null ? '–' : probabilityText(Math.exp(logProbability))]];
    content.push(factList([...facts, ...identity(position)]), ...candidatesOf(data.frames[frame]));
    return content;
  }
  const row = shownRow();
  if (row === null) return [...content, factList([['weight', 'no row'], ...identity(position)])];
  if (position >= row.length) return [...content, factList([['weight', 'not written yet'], ...identity(position)])];
  const facts = [[state.brushed.length > 1 ? 'mean weight' : 'weight', weightText(row[position], coding())]];
  if (!Number.isNaN(row[position])) {
    const { rank, ties } = rankOf(row, position);
    facts.push(['rank', `${rank}${ties > 1 ? `–${rank + ties - 1}` : ''} of ${row.length}`]);
  }
  if (state.analysis.sinkSet.has(position)) facts.push(['attention sink', `mean ${shortWeight(state.analysis.mean[position])}`]);
  if (state.sinks === 'relative') {
    facts.push(['over its mean', shortWeight(row[position] / Math.max(state.analysis.mean[position], SMALLEST_MEAN))]);
  }
  const candidates = isEncoding && frame >= 0 ? candidatesOf(data.frames[frame]) : [];
  return [...content, factList([...facts, ...identity(position)]), ...candidates];
}

/** How exact the weights shown are; a mean of rows is rounded as short ones are not. */
function coding() {
  return state.analysis.rows.coding;
}

function identity(position) {
  return [['token id', data.tokens.ids[position]], ['position', position], ['part', partOf(position)]];
}

function partOf(position) {
  return isEncoding ? data.segmentNames[segmentOf(position)] : data.tokens.roles[position];
}

/** Weight of a display unit of several tokens: the sum, and each of them. */
function unitFacts(unit) {
  const [unitStart, unitStop] = unit;
  if (unitStop - unitStart === 1) return positionFacts(unitStart);
  const row = shownRow();
  const title = make('strong', 'tip-title', inline(unit[2]));
  const facts = [['tokens', `${unitStop - unitStart} (positions ${unitStart} to ${unitStop - 1})`]];
  if (row && unitStop <= row.length) {
    facts.unshift(['weight, sum', weightText(sumAsNumpy(row, unitStart, unitStop), coding())]);
    for (let p = unitStart; p < Math.min(unitStop, unitStart + 8); p++) {
      facts.push([`${p} · id ${data.tokens.ids[p]}`, weightText(row[p], coding())]);
    }
  }
  return [title, factList(facts)];
}
