// Colours, elements and the tooltip: what every view paints with.

const looks = data.looks;
const keptTables = new Map();

function bytesOf(name, text) {
  if (!keptTables.has(name)) keptTables.set(name, bytesOfBase64(text));
  return keptTables.get(name);
}

function isDark() {
  const asked = document.documentElement.dataset.theme;
  return asked ? asked === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

/** 256 colours of the map on images, as bytes. */
function imageColors() {
  return bytesOf(`image ${state.colormap}`, looks.maps[state.colormap]);
}

/** 256 colours of the map behind tokens, as painted on the panel. */
function tokenColors() {
  const ground = isDark() ? 'dark' : 'light';
  return bytesOf(`${ground} ${state.colormap}`, looks.tokens[ground][state.colormap]);
}

const keptStyles = new Map();

/** CSS colours of the boxes and letters of the 256 steps; black or white letters, whichever contrasts more. */
function tokenStyles() {
  const name = `${isDark()} ${state.colormap}`;
  if (keptStyles.has(name)) return keptStyles.get(name);
  const colors = tokenColors();
  const styles = { box: [], ink: [] };
  for (let step = 0; step < 256; step++) {
    const color = [colors[3 * step], colors[3 * step + 1], colors[3 * step + 2]];
    const bright = luminance(color);
    styles.box.push(`rgb(${color})`);
    styles.ink.push((bright + 0.05) / 0.053 >= 1.05 / (bright + 0.05) ? 'var(--token-dark_letters)' : 'var(--token-light_letters)');
  }
  keptStyles.set(name, styles);
  return styles;
}

function luminance(color) {
  const [red, green, blue] = color.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

const stepOf = (level) => Math.floor(level * 255 + 0.5);

/** Opacity (0 to 1) of the overlay on images at each step. */
function overlayAlpha(step) {
  return Math.min(1, (looks.alpha[state.heatAlpha][step] / 256) * state.opacity);
}

/** A colour of the page's theme. */
function themed(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** The colour of series number `n` (of images, heads …). */
function seriesColor(n) {
  const colors = data.series[isDark() ? 1 : 0];
  return `rgb(${colors[n % colors.length]})`;
}

/** An element with a class, text (never markup) and children. */
function make(tag, className = '', ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const part of content) if (part !== null && part !== undefined) element.append(part);
  return element;
}

/** A button that calls `act`. */
function button(label, title, act, className = '') {
  const element = make('button', className, label);
  element.type = 'button';
  element.title = title;
  element.addEventListener('click', (event) => {
    act(event);
    if (event.detail) element.blur(); // clicked, not pressed: the space bar plays again
  });
  return element;
}

/** A token's text on one line, line breaks and leading spaces made visible. */
function inline(text) {
  return (text ?? '').replace(/\n/g, '⏎').replace(/^ +| +$/g, (spaces) => '␣'.repeat(Math.min(3, spaces.length)));
}

/** Fits a canvas to its place and the screen's pixels; returns its context, cleared, in CSS pixels. */
function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const wide = Math.max(1, Math.round(width * ratio));
  const high = Math.max(1, Math.round(height * ratio));
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

const tooltip = document.getElementById('tooltip');
let tooltipOwner = null;

/** Show `content` (elements) beside the pointer; `owner` makes it again when the picture changes under the pointer. */
function showTooltip(event, content, owner = null) {
  tooltip.replaceChildren(...content);
  tooltip.hidden = false;
  tooltipOwner = owner;
  const box = tooltip.getBoundingClientRect();
  const gap = 14;
  let left = event.clientX + gap;
  let top = event.clientY + gap;
  if (left + box.width > innerWidth - 6) left = event.clientX - gap - box.width;
  if (top + box.height > innerHeight - 6) top = event.clientY - gap - box.height;
  tooltip.style.left = `${Math.max(6, left)}px`;
  tooltip.style.top = `${Math.max(6, top)}px`;
}

function hideTooltip() {
  tooltip.hidden = true;
  tooltipOwner = null;
}

/** The tooltip again after a change, since what stands under the pointer has other numbers now. */
function renewTooltip() {
  if (!tooltip.hidden && tooltipOwner) {
    const content = tooltipOwner();
    if (content) tooltip.replaceChildren(...content);
    else hideTooltip();
  }
}

/** Lines of names and values; a value is text. */
function factList(facts) {
  const list = make('dl', 'facts');
  for (const [name, value] of facts) {
    const term = make('dt', '', name);
    const own = make('dd', '', String(value));
    own.dataset.fact = name;
    list.append(term, own);
  }
  return list;
}
