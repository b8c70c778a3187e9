// The step shown: its token, the ten candidates, where its row lies.

const stepCard = document.getElementById('step-card');

/** The ten candidates as bars of their raw probabilities; with `act` each is a button. */
function candidates(step, act = null) {
  const list = make('ol', `candidates${act ? ' choices' : ''}`);
  for (const [id, text, probability] of step.top) {
    const fill = make('span', 'bar-fill');
    fill.style.width = `${100 * (probability ?? 0)}%`;
    const parts = [make('span', 'piece', inline(plain(text)) || 'part of a character'), make('span', 'bar-track', fill),
      make('span', 'number', probabilityText(probability))];
    if (act) {
      const go = button('', `Append it and ask again (token id ${id})`, () => act(id), 'choice');
      go.append(...parts);
      list.append(make('li', '', go));
    } else {
      const row = make('li', id === state.run.tokens[step.position].id ? 'chosen' : '', ...parts);
      row.title = `token id ${id}`;
      list.append(row);
    }
  }
  return list;
}

function paintStepCard(run) {
  const shown = shownStep();
  if (shown === null) {
    const words = { failed: 'No step was made.', stopped: 'Stopped before the first token.' }[run.status];
    stepCard.replaceChildren(make('h2', '', 'Step'), make('p', 'soft', words ?? 'Reading the prompt …'));
    return;
  }
  const step = run.steps[shown];
  const next = run.mode === 'next' && !run.error;
  const token = make('span', 'u current-token', run.nameOf(step.position));
  const title = next ? 'What comes next' : `Step ${shown + 1}`;
  const head = make('div', 'step-line', make('h2', '', title), token);
  const facts = [];
  if (!Number.isNaN(step.probability)) facts.push(['probability', probabilityText(step.probability)]);
  // The share of each of several stands under it.
  if (run.images.length) facts.push([run.images.length > 1 ? 'on the images' : 'on the image', percent(step.imageShare)]);
  if (!Number.isNaN(step.entropy)) facts.push(['entropy', `${step.entropy.toFixed(2)} nat`]);
  const list = step.top.length ? candidates(step, next && run.ended ? appendAndAsk : null)
    : make('p', 'soft', shown < run.nPrefix ? 'This token was given.' : 'No candidates were told.');
  const hint = next && run.ended ? make('p', 'soft hint', 'Click one to append it and ask again.') : null;
  const pairs = facts.map(([name, value]) => make('div', '', make('dt', '', name), make('dd', '', String(value))));
  head.append(make('dl', 'facts', ...pairs));
  stepCard.replaceChildren(head, list, ...(hint ? [hint] : []));
}

function waitingWords(run) {
  if (run.status !== 'queued') return 'Starting …';
  if (!run.place) return 'Waiting …';
  return run.place === 1 ? 'Waiting: one run is before this one.' : `Waiting: ${run.place} runs are before this one.`;
}

whenChanged((changed) => {
  const { run } = state;
  if (!run || state.view !== 'stream') return;
  const wanted = ['run', 'step', 'hovered', 'pinned', 'view', 'ended', 'info'].some((name) => changed.has(name));
  if (!wanted) return;
  // A button that is being pressed is not taken away under the pointer.
  const key = JSON.stringify([run.id, shownStep(), run.status, run.place, run.mode]);
  if (paintStepCard.last === key) return;
  paintStepCard.last = key;
  paintStepCard(run);
});
