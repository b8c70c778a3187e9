// What the server says of itself: the model, the queue, the runs it keeps; and whether it is there.

const BUSY_MS = 1200;
const IDLE_MS = 4000;

let reachable = true;
let refreshTimer = 0;
let asking = null;

function setReachable(is) {
  if (is === reachable) return;
  reachable = is;
  touch('reachable');
}

/** Asks for the state now, and again after a while; a hidden tab asks when it is seen again. */
function refresh() {
  clearTimeout(refreshTimer);
  asking ??= askState().finally(() => {
    asking = null;
    if (document.hidden && reachable) return;
    refreshTimer = setTimeout(refresh, isBusy() || !reachable ? BUSY_MS : IDLE_MS);
  });
  return asking;
}

async function askState() {
  try {
    const told = await ask('/api/state');
    setReachable(true);
    const text = JSON.stringify(told);
    if (text === askState.last) return;
    askState.last = text;
    change({ server: told });
  } catch (trouble) {
    if (trouble.status === 0) setReachable(false);
    else showBanner(sentence(trouble.message));
  }
}

function isBusy() {
  const { server, run } = state;
  return Boolean(server?.running || server?.queue?.length || (run && !run.ended));
}

document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });

const banner = document.getElementById('banner');

function showBanner(text) {
  banner.textContent = text;
  banner.hidden = !text;
}

whenChanged((changed) => {
  if (!changed.has('reachable')) return;
  if (reachable) {
    for (const own of [composerTrouble, stageTrouble]) if (own.textContent === sentence(GONE)) own.hidden = true;
  }
  showBanner(reachable ? '' : `The server at ${location.host} does not answer; trying again … Start it again if it was stopped. What is shown stays.`);
});

/** What the model is, in one line. */
function modelLine() {
  const model = state.server?.model;
  if (!model) return '';
  const parts = [model.type, `${model.layers} layers`, `${model.heads} heads`];
  if (!model.vision) parts.push('text only');
  return [...parts, [model.device, model.dtype].filter(Boolean).join(' ')].filter(Boolean).join(' · ');
}

whenChanged((changed) => {
  if (!changed.has('server')) return;
  const name = plain(state.server?.model?.name ?? '');
  document.getElementById('title').textContent = name || 'Live page';
  document.getElementById('subtitle').textContent = plain(modelLine());
  document.title = name ? `${name} · live` : 'Live page';
  document.body.classList.toggle('text-only', state.server?.model?.vision === false);
});
