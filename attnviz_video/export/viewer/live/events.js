// The events of the run on the stage: connected, lost, connected again; and waiting without holding a connection.

/** A browser opens six connections to a host for all its tabs: a run that waits asks now and then instead. */
const WAIT_MS = 1000;
const RETRY_MS = 1500;
/** What was told of the line before comes at once: the last of it counts. */
const SETTLED_MS = 200;

let source = null;
let timer = 0;

function closeEvents() {
  clearTimeout(timer);
  if (source) source.close();
  source = null;
}

/** Listens to the run on the stage. What comes twice is taken once, so a new connection may begin at the start. */
function listen(run) {
  closeEvents();
  source = new EventSource(runPath(run.id, '/events'));
  const own = source;
  const on = (name, take) => own.addEventListener(name, (event) => {
    if (state.run !== run || source !== own) return;
    take(JSON.parse(event.data));
    touch('run');
  });
  on('queue', ({ place }) => {
    clearTimeout(timer);
    // Told again after a new connection: what is older than what is known.
    if (run.status === 'running' && place > 0) return;
    run.place = place;
    run.status = place > 0 ? 'queued' : 'running';
    if (place > 0) timer = setTimeout(() => { closeEvents(); waitFor(run); }, SETTLED_MS);
  });
  on('prompt', (told) => {
    clearTimeout(timer);
    run.takePrompt(told);
    touch('prompt');
  });
  on('step', (told) => {
    if (!run.ended) run.status = 'running';
    run.takeStep(told);
    touch('step');
  });
  on('done', (told) => endRun(run, 'done', told));
  on('stopped', (told) => endRun(run, 'stopped', told));
  on('failed', (told) => endRun(run, 'failed', told));
  own.onopen = () => setReachable(true);
  own.onerror = () => {
    if (source !== own) return;
    // The browser tries again by itself unless the server refused.
    if (own.readyState === EventSource.CLOSED) {
      closeEvents();
      timer = setTimeout(() => resume(run), RETRY_MS);
    }
  };
}

async function waitFor(run) {
  try {
    const info = await ask(runPath(run.id));
    if (state.run !== run) return;
    setReachable(true);
    takeInfo(run, info);
    if (run.status === 'queued') timer = setTimeout(() => waitFor(run), WAIT_MS);
    else listen(run);
  } catch (trouble) {
    if (state.run === run) lost(run, trouble, () => waitFor(run));
  }
  touch('run');
}

/** After a refusal: is the run still known, and is there more to hear of it? */
async function resume(run) {
  try {
    const info = await ask(runPath(run.id));
    if (state.run !== run) return;
    setReachable(true);
    takeInfo(run, info);
    if (run.ended && run.tokens.length) endRun(run, run.status, info);
    else listen(run);
  } catch (trouble) {
    if (state.run === run) lost(run, trouble, () => resume(run));
  }
}

function lost(run, trouble, again) {
  if (trouble.status === 0) {
    setReachable(false);
    timer = setTimeout(again, RETRY_MS);
    return;
  }
  Object.assign(run, { status: 'failed', error: trouble.message });
  touch('run');
}

function takeInfo(run, info) {
  run.info = { ...run.info, ...info };
  if (!run.ended || ENDED.includes(info.status)) run.status = info.status ?? run.status;
  run.place = info.place ?? (info.status === 'queued' ? run.place : 0);
  run.error = info.error ?? '';
  touch('run');
}

/** Runs that this tab asked for, by id; a reload does not forget them. */
const ownRuns = new Set(JSON.parse(kept.read('own', 'sessionStorage') ?? '[]'));
/** Those of them that go on while another run is on the stage. */
const minded = new Set();

function keepOwn(id) {
  ownRuns.add(id);
  kept.write('own', JSON.stringify([...ownRuns].slice(-50)), 'sessionStorage');
}

/** Asks about a run that has left the stage as long as it is not ended: the server ends what nobody asks about. */
async function mind(run) {
  if (run.ended || !ownRuns.has(run.id) || minded.has(run.id)) return;
  minded.add(run.id);
  while (state.run !== run) {
    try {
      const { status } = await ask(runPath(run.id));
      if (ENDED.includes(status)) break;
    } catch (trouble) {
      if (trouble.status !== 0) break;
    }
    await new Promise((go) => { setTimeout(go, WAIT_MS); });
  }
  minded.delete(run.id);
}

function endRun(run, status, told) {
  closeEvents();
  run.status = status;
  run.error = told.error ?? '';
  run.stoppedBy = told.stopped_by;
  run.hasReport = Boolean(told.report) || Boolean(told.has_report);
  if (run.scale) run.scale.finish();
  touch('run', 'step', 'ended');
  refresh();
  // The answer as it was written, for "edit".
  ask(runPath(run.id)).then((info) => takeInfo(run, info)).catch(() => {});
}

// Who leaves does not keep others waiting; a reload asks again at once.
addEventListener('pagehide', () => {
  const { run } = state;
  const waiting = new Set([...minded, ...(run && run.status === 'queued' ? [run.id] : [])]);
  for (const id of waiting) {
    fetch(runPath(id, '/leave'), { method: 'POST', keepalive: true, headers: { 'X-Attnviz': '1' } }).catch(() => {});
  }
});
addEventListener('pageshow', (event) => {
  if (event.persisted && state.run && !state.run.ended) resume(state.run);
});
