// The list of runs: those that wait, the one that is written, those that are kept.

const runList = document.getElementById('runs');
const SURE_MS = 3000;
const MARKS = { queued: '…', running: '', done: '✓', stopped: '■', failed: '!' };
const WORDS = { queued: 'waiting', running: 'running', done: 'done', stopped: 'stopped', failed: 'failed', opening: '' };
const MODE_WORDS = { next: 'next token', continue: 'continued' };

/** What is on the list, waiting ones first in their order, then the newest first. */
function listedRuns() {
  const { server } = state;
  const runs = [...(server?.runs ?? [])];
  const known = new Set(runs.map((run) => run.id));
  for (const one of server?.queue ?? []) if (!known.has(one.id)) runs.push({ ...one, status: 'queued' });
  const waiting = (server?.queue ?? []).filter((one) => one.id !== server.running);
  const places = new Map(waiting.map((one, number) => [one.id, number + 1]));
  const mine = new Set(waiting.filter((one) => one.mine).map((one) => one.id));
  const order = (run) => (run.status === 'running' ? 0 : places.has(run.id) ? places.get(run.id) : 1e6);
  return runs.map((run, number) => ({ run, number })).sort((one, other) => order(one.run) - order(other.run)
    || String(other.run.created ?? '').localeCompare(String(one.run.created ?? '')) || one.number - other.number)
    .map(({ run }) => ({ ...run, place: places.get(run.id), mine: mine.has(run.id) }));
}

function runWords(run) {
  const parts = [];
  if (!reachable && !ENDED.includes(run.status)) parts.push('no connection');
  else if (run.status === 'queued' && run.place) parts.push(`waiting, number ${run.place}${run.mine ? '' : ', of another tab'}`);
  else parts.push(WORDS[run.status] ?? run.status);
  if (MODE_WORDS[run.mode]) parts.push(MODE_WORDS[run.mode]);
  if (run.n_tokens && run.mode !== 'next') parts.push(`${run.n_tokens} ${run.n_tokens === 1 ? 'token' : 'tokens'}`);
  return parts.join(' · ');
}

const CLOCK = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };

/** When a run was asked, as time of day; with seconds where another of the same words was asked in the same minute. */
function timeOf(run, runs) {
  const asked = new Date(run.created);
  if (Number.isNaN(asked.getTime())) return null;
  const minute = (other) => Math.floor(new Date(other.created).getTime() / 60000);
  const alike = runs.filter((other) => other.label === run.label && minute(other) === minute(run)).length > 1;
  const own = make('time', '', asked.toLocaleTimeString([], alike ? { ...CLOCK, second: '2-digit' } : CLOCK));
  own.dateTime = asked.toISOString();
  return own;
}

const keptThumbnails = new Map();

/** The first picture of a run, small; the same element again, so that it does not flicker. */
function thumbnailOf(run) {
  if (!run.images) return null;
  if (!keptThumbnails.has(run.id)) {
    const own = make('img', 'run-thumbnail');
    Object.assign(own, { loading: 'lazy', alt: '', src: runPath(run.id, '/images/0?small=1') });
    own.addEventListener('error', () => { own.hidden = true; });
    keptThumbnails.set(run.id, own);
  }
  return keptThumbnails.get(run.id);
}

function paintRuns() {
  const runs = listedRuns();
  const focused = document.activeElement?.closest?.('#runs li')?.dataset.run;
  const role = document.activeElement?.className;
  runList.replaceChildren(...runs.map((run) => {
    const mark = !reachable && run.status === 'running' ? 'queued' : run.status;
    const time = timeOf(run, runs);
    const open = make('button', 'open', make('span', `mark ${mark}`, MARKS[mark] ?? ''),
      make('span', 'words', make('span', 'label-line', plain(run.label || run.id)),
        make('span', 'second-line', make('span', 'soft', runWords(run)), time)), thumbnailOf(run));
    open.type = 'button';
    const date = time ? new Date(run.created).toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' }) : '';
    open.title = [plain(run.label || run.id), date, run.error ? sentence(run.error) : ''].filter(Boolean).join('\n');
    if (state.run?.id === run.id) open.setAttribute('aria-current', 'true');
    open.addEventListener('click', () => openRun(run.id));
    const entry = make('li', '', open, removeButton(run));
    entry.dataset.run = run.id;
    return entry;
  }));
  if (focused) {
    const entry = [...runList.children].find((own) => own.dataset.run === focused);
    entry?.querySelector(role?.includes('remove') ? '.remove' : '.open')?.focus();
  }
  document.getElementById('no-runs').hidden = runList.children.length > 0;
}

const sureOf = new Map();

/** Asks twice: what is deleted is gone. */
function removeButton(run) {
  const away = make('button', 'remove', sureOf.has(run.id) ? 'Delete?' : '×');
  away.type = 'button';
  away.title = `Delete this run and its files: ${plain(run.label || run.id)}`;
  away.setAttribute('aria-label', away.title);
  away.addEventListener('click', () => {
    if (sureOf.has(run.id)) {
      clearTimeout(sureOf.get(run.id));
      sureOf.delete(run.id);
      forget(run.id);
      return;
    }
    sureOf.set(run.id, setTimeout(() => { sureOf.delete(run.id); touch('runs'); }, SURE_MS));
    touch('runs');
  });
  return away;
}

async function forget(id) {
  const shown = state.run?.id === id ? state.run : null;
  if (shown) closeEvents();
  try {
    await ask(runPath(id), { method: 'DELETE' });
    openedRuns.delete(id);
    if (state.run?.id === id) closeRun();
  } catch (trouble) {
    complain(trouble.message);
    if (shown && state.run === shown && !shown.ended) resume(shown);
  }
  askState.last = '';
  refresh();
}

let paintedRuns = '';

whenChanged(() => {
  const text = JSON.stringify([state.server?.runs, state.server?.queue, state.run?.id, [...sureOf.keys()], reachable]);
  if (text === paintedRuns) return;
  paintedRuns = text;
  paintRuns();
});
