// Requests to the server of this page, and to no other.

/** What went wrong, in a sentence; `status` is that of HTTP, 0 where no answer came. */
class RequestTrouble extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const GONE = 'the server does not answer';
const CANCELLED = 'cancelled: nothing was asked';

/** The JSON of an answer.
 *
 * Every request that changes something carries a header that no foreign page can send.
 */
async function ask(path, settings = {}) {
  let response;
  try {
    response = await fetch(path, { ...settings, headers: { 'X-Attnviz': '1', 'X-Attnviz-Tab': tabName, ...settings.headers } });
  } catch {
    throw new RequestTrouble(0, settings.signal?.aborted ? CANCELLED : GONE);
  }
  let answer = null;
  try {
    answer = await response.json();
  } catch { /* an answer without content, or of something that stands between */ }
  if (!response.ok) throw new RequestTrouble(response.status, answer?.error ?? sentenceOf(response.status));
  return answer ?? {};
}

function sentenceOf(status) {
  if (status === 401) return 'the server wants its token: open the address that it printed when it started';
  if (status === 404) return 'the server does not know this run any more';
  if (status === 413) return 'this is more than the server takes at once (--max_upload_mb)';
  return `the server answered with status ${status}`;
}

/** A sentence of ours or of the server as it stands alone; names of files and settings keep their letters. */
function sentence(text) {
  const trimmed = String(text).trim();
  const begins = /^[a-z]+(?![\w./'-])/.test(trimmed) ? trimmed.charAt(0).toUpperCase() + trimmed.slice(1) : trimmed;
  return begins + (/[.!?…]$/.test(trimmed) ? '' : '.');
}

const runPath = (id, part = '') => `/api/runs/${encodeURIComponent(id)}${part}`;
