// The report of the run on the stage, in a frame of its own.

const reportFrame = document.getElementById('report');
let reportOf = '';
let reportIsComing = false;
const reportNote = document.getElementById('report-note');

function paintReport(run) {
  reportNote.hidden = state.view !== 'report' || !reportIsComing;
  if (state.view !== 'report' || !hasReport(run)) return;
  run.reportSeen = true;
  if (reportOf === run.id) return;
  reportOf = run.id;
  reportIsComing = true;
  reportNote.hidden = false;
  reportFrame.classList.add('loading');
  // Not by `src`: "back" would lead through every report that was shown. Title and theme stand in this page already.
  reportFrame.contentWindow.location.replace(new URL(runPath(run.id, '/report#embedded'), location.href));
}

reportFrame.addEventListener('load', () => {
  if (!reportOf || !state.run || state.run.id !== reportOf) return;
  reportIsComing = false;
  reportFrame.classList.remove('loading');
  touch('report');
  const inside = reportFrame.contentDocument;
  if (inside?.contentType === 'text/html') dressReport();
  else refuseReport(inside);
});

/** What came is no report: what the server says instead, or nothing where it is not there. */
function refuseReport(inside) {
  reportOf = '';
  let error = GONE;
  try { error = JSON.parse(inside.body.textContent).error ?? error; } catch { /* the browser's own page */ }
  complainOnStage(error);
  showView('stream');
}

/** The report in the colours of this page. */
function dressReport() {
  const inside = reportFrame.contentDocument;
  const toggle = inside?.getElementById('theme');
  if (!toggle) return;
  const asked = inside.documentElement.dataset.theme;
  const dark = asked ? asked === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  if (dark !== isDark()) toggle.click();
}
