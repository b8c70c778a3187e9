// The stage: which run is on it, what can be done with it, and its report and video.

const stageHead = document.getElementById('stage-head');
const stageTrouble = document.getElementById('stage-trouble');
const player = document.getElementById('player');
const STOPPED_BY = { eos: 'the model ended its answer', length: 'cut at the most new tokens', interrupted: 'stopped before its end' };

/** How large the trace will be: of use on the command line only. */
const FORECAST = /^recording: /i;

/** Runs that were looked at, so that going back to one shows it at once. */
const openedRuns = new Map();
const KEPT_RUNS = 6;
/** By then the stage is as high as it becomes. */
const SHOWN_MS = 120;
/** Progress of the video that is made: {id, done, total}, or {id, error}. */
let video = null;
let videoSource = null;

function complainOnStage(text) {
  stageTrouble.textContent = text ? sentence(text) : '';
  stageTrouble.hidden = !text;
}

/** Puts a run on the stage. */
function openRun(id, { watched = false, view = state.view } = {}) {
  const run = openedRuns.get(id) ?? new LiveRun(id);
  openedRuns.delete(id);
  openedRuns.set(id, run);
  if (openedRuns.size > KEPT_RUNS) openedRuns.delete(openedRuns.keys().next().value);
  run.watched ||= watched;
  if (addressed()?.id !== id) history.pushState(null, '', addressOf(id, 'stream'));
  closeEvents();
  complainOnStage('');
  hideTooltip();
  const left = state.run;
  change({ run, hovered: null, pinned: null, editing: false, gone: false, view: viewOf(run, view) });
  if (left && left !== run) mind(left);
  touch('run', 'prompt', 'step', 'size');
  if (narrow.matches) setTimeout(() => document.getElementById('stage').scrollIntoView(), SHOWN_MS);
  if (!run.ended || !run.tokens.length) enter(run, view);
}

/** Asks what the run is, and listens to it unless its report or video is looked at. */
async function enter(run, view) {
  try {
    takeInfo(run, await ask(runPath(run.id)));
    if (state.run !== run) return;
    touch('info');
    if (run.ended && state.view === 'stream' && !run.watched) change({ view: viewOf(run, view) });
    if (!run.ended || state.view === 'stream') listen(run);
  } catch (trouble) {
    if (state.run !== run) return;
    if (trouble.status === 0) lost(run, trouble, () => enter(run, view));
    else if (trouble.status === 404) {
      closeRun();
      change({ gone: true });
    } else {
      openedRuns.delete(run.id);
      Object.assign(run, { status: 'failed', error: trouble.message });
      touch('run');
    }
  }
}

/** The view that is wanted, where the run has it; else its stream. */
function viewOf(run, wanted) {
  return (wanted === 'report' && hasReport(run)) || (wanted === 'video' && run.info?.has_video) ? wanted : 'stream';
}

/** The run and the view that the address names; null where it names none. */
function addressed() {
  const found = /^#run=([^&]+)(?:&view=(report|video))?$/.exec(location.hash);
  if (!found) return null;
  let id = found[1];
  try { id = decodeURIComponent(id); } catch { /* the server will not know it */ }
  return { id, view: found[2] ?? 'stream' };
}

function addressOf(id, view) {
  return `#run=${encodeURIComponent(id)}${view === 'stream' ? '' : `&view=${view}`}`;
}

function hasReport(run) {
  return run.ended && Boolean(run.hasReport || run.info?.has_report);
}

function closeRun() {
  closeEvents();
  // Going back to what is not there any more would lead nowhere.
  history.replaceState(null, '', location.pathname);
  openedRuns.delete(state.run?.id);
  change({ run: null, hovered: null, pinned: null, editing: false, view: 'stream' });
  promptBox.focus();
}

function openFromAddress() {
  const found = addressed();
  if (!found) {
    const left = state.run;
    closeEvents();
    change({ run: null, hovered: null, pinned: null, editing: false });
    if (left) mind(left);
    return;
  }
  if (state.run?.id !== found.id) openRun(found.id, { view: found.view });
  else if (state.view !== found.view) showView(viewOf(state.run, found.view));
}

addEventListener('hashchange', openFromAddress);
addEventListener('popstate', openFromAddress);

// --- what can be done ------------------------------------------------------------------------------------------------

async function stopRun() {
  const { run } = state;
  if (!run || run.ended || run.stopping) return;
  run.stopping = true;
  touch('run');
  try {
    await ask(runPath(run.id, '/stop'), { method: 'POST' });
  } catch (trouble) {
    run.stopping = false;
    complainOnStage(trouble.message);
    touch('run');
  }
}

/** Puts what was asked into the composer, where it can be changed before it is asked again. */
function askAgain() {
  const { run } = state;
  const { prompt, system, settings, images } = run.info;
  const ids = givenIds(run);
  const text = run.tokens.slice(run.nPrompt, run.nPrompt + ids.length).map((token) => token.text).join('');
  fillComposer({
    prompt,
    settings: { ...state.server?.settings, ...settings, system: system ?? '' },
    images: Array.from({ length: images }, (_, number) => ({
      file: { name: run.info.image_names?.[number] ?? `image ${number + 1}`, size: 0 },
      earlier: `${run.id}/${number}`,
      address: runPath(run.id, `/images/${number}`),
    })),
    beginning: ids.length ? { ids, text: text || `${ids.length} ${ids.length === 1 ? 'token' : 'tokens'}` } : null,
  });
}

function editAnswer() {
  const { run } = state;
  const box = document.getElementById('edit-text');
  box.value = run.info?.answer ?? '';
  change({ editing: true, view: 'stream' });
  if (!run.tokens.length) listen(run);
  requestAnimationFrame(() => { box.focus(); box.setSelectionRange(box.value.length, box.value.length); });
}

/** Asks on from the beginning of an answer: by its tokens where they are known, else by its text. */
function goOn(mode, { ids = null, text = '' }) {
  const { run } = state;
  const prefix = ids ? { answer_ids: JSON.stringify(ids) } : { answer_prefix: text };
  const given = ids ? ids.length : text;
  const further = given ? { mode, ...prefix } : { mode: mode === 'continue' ? 'generate' : mode };
  whileSending((signal) => send({ ...valuesOf(run), ...further, continue_from: run.id }, [], signal), complainOnStage);
}

function continueEdited() {
  const text = document.getElementById('edit-text').value;
  goOn('continue', { ids: state.run.idsOf(text), text });
}

/** The tokens that a run was given to go on from. */
function givenIds(run) {
  return (run.info?.answer_ids ?? []).slice(0, run.info?.n_prefix ?? 0);
}

function appendAndAsk(id) {
  goOn('next', { ids: [...givenIds(state.run), id] });
}

async function makeVideo() {
  const { run } = state;
  video = { id: run.id, done: 0, total: 0 };
  touch('video');
  try {
    await ask(runPath(run.id, '/video'), {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ colormap: state.colormap }),
    });
    followVideo(run);
  } catch (trouble) {
    video = null;
    complainOnStage(trouble.message);
    touch('video');
  }
}

function followVideo(run) {
  videoSource?.close();
  videoSource = new EventSource(runPath(run.id, '/video/events'));
  const own = videoSource;
  own.addEventListener('progress', (event) => {
    const { done, total } = JSON.parse(event.data);
    video = { id: run.id, done, total };
    touch('video');
  });
  for (const name of ['done', 'failed']) own.addEventListener(name, (event) => endVideo(run, JSON.parse(event.data).error ?? ''));
  own.onerror = () => {
    if (own === videoSource && own.readyState === EventSource.CLOSED) endVideo(run, 'the video’s progress was lost; ask for it again');
  };
}

function endVideo(run, error) {
  videoSource?.close();
  videoSource = null;
  video = null;
  if (error) complainOnStage(error);
  else if (run.info) run.info.has_video = true;
  touch('video', 'run');
  if (!error && state.run === run) change({ view: 'video' });
}

// --- what is seen ----------------------------------------------------------------------------------------------------

function link(words, path, name, title) {
  const element = make('a', 'button', words);
  Object.assign(element, { href: path, download: name, title });
  return element;
}

function actsOf(run) {
  if (!run.ended) {
    const stop = button(run.stopping ? 'Stopping …' : 'Stop', 'Finish this token and keep what is written (Esc)', stopRun, 'stop');
    stop.disabled = Boolean(run.stopping) || !reachable;
    stop.append(make('kbd', '', 'Esc'));
    return [stop];
  }
  const acts = [];
  if (hasReport(run)) {
    if (run.mode !== 'next') {
      acts.push(button('Edit answer and continue', 'Change or cut the answer, and let the model go on from there', editAnswer));
      acts.push(videoButton(run));
    } else {
      acts.push(button('Answer from here', 'Let the model write on from here', () => goOn('continue', { ids: givenIds(run) })));
    }
    acts.push(downloads(run));
  }
  if (run.info) acts.push(button('Again …', 'Put the question, its images and settings into the composer, to ask them once more or changed', askAgain));
  return acts;
}

function videoButton(run) {
  if (video?.id === run.id) {
    const share = video.total ? Math.floor((100 * video.done) / video.total) : 0;
    const own = make('span', 'button busy', `Video ${share} %`);
    own.style.backgroundImage = `linear-gradient(to right, var(--chip) ${share}%, transparent ${share}%)`;
    own.setAttribute('role', 'status');
    return own;
  }
  const own = button(run.info?.has_video ? 'Make video again' : 'Make video', 'An MP4 of this answer', makeVideo);
  own.disabled = video !== null;
  return own;
}

function downloads(run) {
  const menu = make('details', 'more downloads');
  menu.append(make('summary', '', 'Download'), make('div', 'popover',
    link('Trace (zip)', runPath(run.id, '/trace.zip'), `trace_${run.id}.zip`, 'For render, report, table … on any machine'),
    link('Report (html)', runPath(run.id, '/report'), `report_${run.id}.html`, 'One file that opens from disk'),
    ...(run.info?.has_video ? [link('Video (mp4)', runPath(run.id, '/video.mp4'), `video_${run.id}.mp4`, 'The video')] : [])));
  return menu;
}

function tabsOf(run) {
  const tabs = [['stream', 'Stream']];
  if (run.ended && hasReport(run)) tabs.push(['report', 'Report']);
  if (run.info?.has_video) tabs.push(['video', 'Video']);
  return tabs;
}

function paintHead(run) {
  const key = JSON.stringify([run.id, run.status, run.place, run.stopping, run.info?.label, run.info?.prompt, run.info?.has_video, run.mode, hasReport(run), video, state.view, run.stoppedBy, reachable, run.reportSeen]);
  if (paintHead.last === key) return;
  paintHead.last = key;
  const held = stageHead.contains(document.activeElement) ? document.activeElement.textContent : null;
  const tabs = tabsOf(run).map(([view, name]) => {
    const tab = button(name, name, () => showView(view));
    tab.setAttribute('role', 'tab');
    tab.setAttribute('aria-selected', String(state.view === view));
    tab.dataset.view = view;
    tab.classList.toggle('offered', view === 'report' && run.watched && !run.reportSeen && run.mode !== 'next');
    return tab;
  });
  document.getElementById('tabs').replaceChildren(...tabs);
  document.getElementById('tabs').hidden = tabs.length < 2;
  const badge = document.getElementById('run-state');
  const lostTouch = !reachable && !run.ended;
  badge.className = `state ${lostTouch ? 'lost' : run.status}`;
  badge.textContent = lostTouch ? 'no connection' : run.status === 'queued' && run.place ? `waiting, number ${run.place}` : WORDS[run.status] ?? '';
  badge.title = STOPPED_BY[run.stoppedBy] ?? '';
  const title = plain(run.info?.prompt ?? run.info?.label ?? '').replace(/\s+/g, ' ').trim();
  document.getElementById('run-title').textContent = title;
  document.getElementById('run-title').title = title;
  document.getElementById('acts').replaceChildren(...actsOf(run));
  if (held) [...stageHead.querySelectorAll('button, a, summary')].find((own) => own.textContent === held)?.focus();
}

function showView(view) {
  const { run } = state;
  change({ view, editing: view === 'stream' && state.editing });
  if (view === 'stream' && run.ended && !run.tokens.length) listen(run);
}

function paintVideo(run) {
  if (state.view !== 'video') {
    player.pause();
    return;
  }
  const source = runPath(run.id, '/video.mp4');
  if (player.getAttribute('src') !== source) player.src = source;
}

whenChanged((changed) => {
  const { run } = state;
  if (run && changed.has('view') && addressed()?.id === run.id) history.replaceState(null, '', addressOf(run.id, state.view));
  if (!run) {
    reportNote.hidden = true;
    complainOnStage('');
    paintHead.last = '';
    return;
  }
  if (changed.has('run') && run.status === 'failed' && run.error) complainOnStage(run.error);
  const notices = document.getElementById('notices');
  notices.textContent = (run.notices ?? []).filter((words) => !FORECAST.test(words)).map((words) => sentence(plain(words))).join(' ');
  notices.title = notices.textContent;
  paintHead(run);
  paintReport(run);
  paintVideo(run);
  if (changed.has('theme')) dressReport();
});

document.getElementById('edit').addEventListener('submit', (event) => {
  event.preventDefault();
  continueEdited();
});
onCtrlEnter(document.getElementById('edit'), () => continueEdited());
document.getElementById('edit-cancel').addEventListener('click', () => change({ editing: false }));
