// The page of a batch run: cards, sorting and filters. Text goes into the page as text only, never as markup.
"use strict";
(() => {
  const run = JSON.parse(document.getElementById("run-data").textContent);
  const byId = (id) => document.getElementById(id);
  /** Outcomes in the order of sorting by correctness; words that stand on badges, and before them a sign. */
  const OUTCOMES = [
    ["failed", "failed", "!"], ["unfinished", "unfinished", "…"], ["wrong", "wrong", "✗"],
    ["unjudged", "not judged", ""], ["partial", "partly correct", "◐"], ["correct", "correct", "✓"],
  ];
  const RANK = Object.fromEntries(OUTCOMES.map(([name], rank) => [name, rank]));
  const WORDS = Object.fromEntries(OUTCOMES.map(([name, words]) => [name, words]));
  const SIGNS = Object.fromEntries(OUTCOMES.map(([name, , sign]) => [name, sign]));
  const BLANK = { failed: "no picture: failed", unfinished: "no picture yet" };
  /** What each order compares, and whether it begins with the largest. */
  const ORDERS = {
    index: [(card) => card.index, false], share: [(card) => card.share, true], length: [(card) => card.tokens, true],
    outcome: [(card) => RANK[card.verdict || card.outcome], false], score: [(card) => card.score, true], seconds: [(card) => card.seconds, true],
  };
  /** Cards that are laid at once, and how many at a time after them. */
  const [FIRST, MORE] = [60, 100];
  const START = { search: "", outcome: "", kind: "", order: "index", down: false };
  const state = { ...START };
  const cards = run.cards;
  const nodes = new Map();
  const haystacks = new Map();
  let shown = [];
  let open = -1;
  let opener = null;
  let laying = 0;

  /** An element with a class, text and children. */
  function make(tag, name, ...inside) {
    const node = document.createElement(tag);
    if (name) node.className = name;
    node.append(...inside.filter((one) => one !== null && one !== undefined));
    return node;
  }
  /** Text of somebody else: it has a direction of its own and cannot reorder what stands around it. */
  function foreign(text) {
    const node = document.createElement("bdi");
    node.textContent = text;
    return node;
  }
  function link(words, place) {
    const node = make("a", "", words);
    node.href = place;
    return node;
  }
  const count = (number) => number.toLocaleString("en");
  const percent = (part) => `${(100 * part).toFixed(1)} %`;
  const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
  function seconds(value) {
    if (value < 120) return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} s`;
    return value < 7200 ? `${(value / 60).toFixed(0)} min` : `${(value / 3600).toFixed(1)} h`;
  }
  const wordsOf = (card) => [card.outcome, card.verdict].filter((name, at, all) => name && all.indexOf(name) === at).map((name) => WORDS[name]).join(", ");
  const scoreOf = (card) => `score ${Number(card.score.toPrecision(3))}`;
  /** Whether a card is of an outcome; a verdict is known also of answers without a video. */
  const is = (card, name) => card.outcome === name || card.verdict === name;
  /** Number and id; an id that is the number says nothing more. */
  const titleOf = (card) => (card.id.replace(/^#+/, "") === String(card.index) ? [foreign(`#${card.index}`)] : [`#${card.index} `, foreign(card.id)]);

  // --- the head of the page ------------------------------------------------------------------------------------------

  function pairs(list, entries) {
    for (const [name, value] of entries) list.append(make("dt", "", name), make("dd", "", foreign(value)));
  }
  function figure(words, value, beside) {
    byId("figures").append(make("div", "", make("dt", "", words), make("dd", "", value, beside && make("small", "", ` ${beside}`))));
  }
  function head() {
    byId("name").append(foreign(run.name));
    byId("subtitle").append(foreign(run.subtitle));
    pairs(byId("settings"), run.settings);
    pairs(byId("all-settings"), run.all_settings);
    const of = (outcome) => cards.filter((card) => is(card, outcome)).length;
    const [right, judged, failed] = [of("correct"), of("correct") + of("partial") + of("wrong"), of("failed")];
    figure(cards.length === 1 ? "sample" : "samples", count(cards.length));
    if (judged) figure("correct", percent(right / judged), `${count(right)} of ${count(judged)} judged`);
    const scores = cards.map((card) => card.score).filter((score) => score !== null);
    if (of("partial")) figure("mean score", (scores.reduce((sum, score) => sum + score, 0) / scores.length).toFixed(2));
    if (failed) figure("failed", count(failed));
    const shares = cards.map((card) => card.share).filter((share) => share !== null);
    if (shares.length) figure("mean image share", percent(shares.reduce((sum, share) => sum + share, 0) / shares.length));
    const lengths = cards.map((card) => card.tokens).filter((length) => length !== null);
    if (lengths.length) figure("tokens per answer", count(Math.round(lengths.reduce((sum, one) => sum + one, 0) / lengths.length)));
    const line = byId("state");
    if (run.left) line.append(make("strong", "", `${plural(run.left, "sample")} left`), run.working ? ": the run was still at work. " : ": the run was stopped, or works elsewhere. ");
    if (run.recorded) line.append(make("strong", "", plural(run.recorded, "sample")), " recorded, without a video. ");
    line.append(`Written ${run.written}. `);
    if (cards.length) line.append("All numbers: ", link("summary.csv", "summary.csv"), ".");
  }

  // --- cards ---------------------------------------------------------------------------------------------------------

  function badge(card) {
    const names = [card.outcome, card.verdict !== card.outcome && card.verdict].filter((name) => name && SIGNS[name]);
    return make("span", "badge", ...names.map((name) => make("span", name, `${SIGNS[name]} ${WORDS[name]}`)));
  }
  function numbers(card) {
    const line = make("div", "numbers");
    if (card.score !== null) line.append(make("span", "", scoreOf(card)));
    if (card.share !== null) {
      const bar = document.createElement("i");
      bar.style.width = `${Math.min(100, 100 * card.share)}%`;
      const share = make("span", "share", make("span", "track", bar), `image ${percent(card.share)}`);
      share.title = run.share_words;
      line.append(share);
    }
    if (card.tokens !== null) line.append(make("span", "", plural(card.tokens, "token")));
    if (card.seconds !== null) line.append(Object.assign(make("span", "", seconds(card.seconds)), { title: "recording and rendering" }));
    return line;
  }
  function links(card) {
    const line = make("div", "links");
    card.videos.forEach(([words, place]) => line.append(link(words, place)));
    if (card.report) line.append(link("Report", card.report));
    if (card.trace) line.append(link("Trace", card.trace));
    if (card.kind) line.append(make("span", "kind", card.kind));
    return line;
  }
  function picture(card, place, lazy) {
    const image = document.createElement("img");
    image.alt = "";
    if (lazy) image.loading = "lazy";
    image.decoding = "async";
    image.src = place;
    return image;
  }
  function build(card) {
    const button = make("button", card.thumbnail ? "picture" : "picture blank", card.thumbnail ? picture(card, card.thumbnail, true) : make("span", "none", BLANK[card.outcome] || "no picture"));
    button.type = "button";
    button.setAttribute("aria-label", `Open sample ${card.index}, ${card.id}: ${wordsOf(card)}`);
    button.addEventListener("click", () => show(card, button));
    const about = make("div", "about", make("div", "line", make("h2", "", ...titleOf(card)), badge(card)));
    if (card.question) about.append(make("p", "text question", foreign(card.question)));
    if (card.error) about.append(make("p", "text error", foreign(card.error)));
    else if (card.answer) about.append(make("p", "text answer", foreign(card.answer)));
    if (["wrong", "partial"].some((name) => is(card, name)) && card.reference) about.append(make("p", "text tag", "expected: ", foreign(card.reference)));
    for (const caution of card.cautions) about.append(make("p", "text caution", foreign(caution)));
    about.append(numbers(card));
    const line = links(card);
    if (card.notices.length) {
      const notes = make("button", "notes", "Notes");
      notes.type = "button";
      notes.title = card.notices.join("\n");
      notes.addEventListener("click", () => show(card, notes));
      line.append(notes);
    }
    if (line.childNodes.length) about.append(line);
    const item = make("li", "", make("article", "card", button, about));
    item.dataset.index = card.index;
    return item;
  }
  function nodeOf(card) {
    if (!nodes.has(card)) nodes.set(card, build(card));
    return nodes.get(card);
  }

  // --- sorting and filters -------------------------------------------------------------------------------------------

  function haystack(card) {
    if (!haystacks.has(card)) {
      const parts = [`#${card.index}`, card.id, card.question, card.answer, card.response, card.reference, card.error, ...card.cautions, ...card.notices];
      haystacks.set(card, parts.filter(Boolean).join("\n").toLowerCase());
    }
    return haystacks.get(card);
  }
  function compare(one, other) {
    const value = ORDERS[state.order][0];
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return (a === null) - (b === null) || one.index - other.index; // unknown: at the end
    return (state.down ? b - a : a - b) || one.index - other.index;
  }
  function update() {
    const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
    const found = cards.filter((card) => (!state.kind || card.kind === state.kind) && words.every((word) => haystack(card).includes(word)));
    for (const chip of byId("outcomes").children) {
      const name = chip.dataset.outcome;
      chip.lastChild.textContent = count(name ? found.filter((card) => is(card, name)).length : found.length);
      chip.setAttribute("aria-pressed", String(state.outcome === name));
    }
    shown = found.filter((card) => !state.outcome || is(card, state.outcome)).sort(compare);
    clearTimeout(laying);
    byId("cards").replaceChildren();
    lay(0, FIRST);
    byId("count").textContent = `${count(shown.length)} of ${count(cards.length)} shown`;
    const direction = byId("direction");
    direction.textContent = state.down ? "↓" : "↑";
    direction.title = state.down ? "descending; click for ascending" : "ascending; click for descending";
    direction.setAttribute("aria-label", `Order: ${direction.title}`);
    byId("nothing").hidden = shown.length > 0;
    if (!shown.length) nothing();
    remember();
  }
  /** Put cards in place: a screenful at once, the others between what the reader does. */
  function lay(from, number) {
    byId("cards").append(...shown.slice(from, from + number).map(nodeOf));
    if (from + number < shown.length) laying = setTimeout(() => lay(from + number, MORE), 0);
  }
  function nothing() {
    if (!cards.length) {
      byId("nothing").textContent = "No sample has come to an end yet. Load this page again later.";
      return;
    }
    const reset = make("button", "", "Show all");
    reset.type = "button";
    reset.addEventListener("click", () => { Object.assign(state, START); fill(); update(); byId("search").focus(); });
    byId("nothing").replaceChildren("No sample matches.", reset);
  }
  /** The choice stands behind # in the address, so that it survives a visit to a video. */
  function remember() {
    const words = new URLSearchParams();
    for (const name of Object.keys(START)) if (state[name] !== START[name]) words.set(name, String(state[name]));
    try { history.replaceState(null, "", `#${words}`); } catch { /* not allowed here: nothing is lost */ }
  }
  function recall() {
    const words = new URLSearchParams(location.hash.slice(1));
    state.search = words.get("search") || "";
    if (Object.hasOwn(RANK, words.get("outcome") || "")) state.outcome = words.get("outcome");
    if (["generated", "replayed"].includes(words.get("kind"))) state.kind = words.get("kind");
    if ([...byId("order").options].some((one) => one.value === words.get("order"))) state.order = words.get("order");
    state.down = words.has("down") ? words.get("down") === "true" : START.down;
  }
  function fill() {
    byId("search").value = state.search;
    byId("kind").value = state.kind;
    byId("order").value = state.order;
  }
  function tools() {
    for (const [name, words] of [["", "all"], ...[...OUTCOMES].reverse()]) {
      if (name && !cards.some((card) => is(card, name))) continue;
      const chip = make("button", "", words, make("span", "number"));
      chip.type = "button";
      chip.dataset.outcome = name;
      chip.addEventListener("click", () => { state.outcome = state.outcome === name ? "" : name; update(); });
      byId("outcomes").append(chip);
    }
    if (cards.every((card) => card.score === null)) byId("order").querySelector("[value=score]").remove();
    byId("tools").addEventListener("submit", (event) => event.preventDefault());
    let waiting = 0;
    byId("search").addEventListener("input", (event) => {
      state.search = event.target.value;
      clearTimeout(waiting);
      waiting = setTimeout(update, 120);
    });
    byId("kind").addEventListener("change", (event) => { state.kind = event.target.value; update(); });
    byId("order").addEventListener("change", (event) => {
      state.order = event.target.value;
      state.down = ORDERS[state.order][1];
      update();
    });
    byId("direction").addEventListener("click", () => { state.down = !state.down; update(); });
    document.addEventListener("keydown", (event) => {
      const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement.tagName);
      if (event.key === "/" && !typing && !byId("sample").open && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        byId("search").focus();
      }
    });
  }

  // --- one sample ----------------------------------------------------------------------------------------------------

  function part(body, words, text, name = "whole") {
    if (text) body.append(make("section", "", make("h3", "", words), make("div", name, foreign(text))));
  }
  function screen(card) {
    const [video] = card.videos.filter(([, place]) => place.endsWith(".mp4"));
    if (!video) return card.poster || card.thumbnail ? Object.assign(picture(card, card.poster || card.thumbnail, false), { className: "still" }) : null;
    const node = document.createElement("video");
    node.controls = true;
    node.preload = "metadata";
    if (card.poster || card.thumbnail) node.poster = card.poster || card.thumbnail;
    node.src = video[1];
    return node;
  }
  function show(card, from) {
    open = shown.indexOf(card);
    opener = from || opener;
    byId("sample-title").replaceChildren(...titleOf(card));
    const body = byId("sample-body");
    body.replaceChildren(...[screen(card), make("div", "line", numbers(card), badge(card)), links(card)].filter(Boolean));
    part(body, "Error", card.error, "whole wrong");
    part(body, "Question", card.question);
    part(body, "Answer, as written", card.response);
    part(body, "Expected", card.reference);
    if (card.judged_by) part(body, "Judged by", card.judged_by);
    if (card.notices.length) body.append(make("section", "", make("h3", "", "Notes"), make("ul", "", ...card.notices.map((notice) => make("li", "", foreign(notice))))));
    body.scrollTop = 0;
    byId("previous").disabled = open <= 0;
    byId("next").disabled = open < 0 || open >= shown.length - 1;
    if (!byId("sample").open) byId("sample").showModal();
  }
  function step(by) {
    if (shown[open + by]) show(shown[open + by], nodeOf(shown[open + by]).querySelector(".picture"));
  }
  function dialog() {
    const node = byId("sample");
    byId("close").addEventListener("click", () => node.close());
    byId("previous").addEventListener("click", () => step(-1));
    byId("next").addEventListener("click", () => step(1));
    node.addEventListener("click", (event) => { if (event.target === node) node.close(); });
    node.addEventListener("keydown", (event) => {
      if (event.target.tagName === "VIDEO" || event.altKey || event.ctrlKey || event.metaKey) return; // there, arrows move in time
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    });
    node.addEventListener("close", () => {
      byId("sample-body").replaceChildren(); // a video that is not seen does not go on playing
      if (opener && opener.isConnected) opener.focus();
    });
  }

  head();
  tools();
  recall();
  fill();
  dialog();
  update();
})();
