// Numbers: half floats, sums in the order in which numpy adds, and how numbers are printed.

const bitsOfFloat = new Uint32Array(1);
const floatOfBits = new Float32Array(bitsOfFloat.buffer);
let halfTable = null;

/** The float32 of every float16 bit pattern. */
function halfFloats() {
  if (halfTable) return halfTable;
  halfTable = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 0) halfTable[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) halfTable[bits] = fraction ? NaN : sign * Infinity;
    else halfTable[bits] = sign * (1024 + fraction) * 2 ** (exponent - 25);
  }
  return halfTable;
}

/** The float16 bit pattern of a number ≥ 0, rounded half to even; the largest finite one for more. */
function halfBits(value) {
  if (!(value < 65504)) return 0x7bff;
  if (value < 2 ** -14) return roundHalfEven(value * 2 ** 24);
  floatOfBits[0] = value;
  const exponent = (bitsOfFloat[0] >>> 23) - 127;
  const fraction = roundHalfEven((value / 2 ** exponent - 1) * 1024);
  return Math.min(0x7bff, ((exponent + 15) << 10) + fraction);
}

function roundHalfEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Float32 sum of values[first … stop) in the order of numpy's `add.reduceat`, so that the last bit is the same. */
function sumAsNumpy(values, first, stop) {
  if (stop - first === 1) return values[first];
  return Math.fround(values[first] + pairwise(values, first + 1, stop - first - 1));
}

function pairwise(values, first, count) {
  const fround = Math.fround;
  if (count < 8) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum = fround(sum + values[first + i]);
    return sum;
  }
  if (count <= 128) {
    const part = [];
    for (let i = 0; i < 8; i++) part.push(values[first + i]);
    let i = 8;
    for (; i < count - (count % 8); i += 8) {
      for (let k = 0; k < 8; k++) part[k] = fround(part[k] + values[first + i + k]);
    }
    const left = fround(fround(part[0] + part[1]) + fround(part[2] + part[3]));
    let sum = fround(left + fround(fround(part[4] + part[5]) + fround(part[6] + part[7])));
    for (; i < count; i++) sum = fround(sum + values[first + i]);
    return sum;
  }
  let half = count >> 1;
  half -= half % 8;
  return fround(pairwise(values, first, half) + pairwise(values, first + half, count - half));
}

/** A weight in full: 4 significant digits of what was recorded, or all digits that the page holds (5 after the point). */
function weightText(weight, coding) {
  if (weight === null || weight === undefined || Number.isNaN(weight)) return 'no value';
  if (weight === 0) return '0';
  if (!Number.isFinite(weight)) return String(weight);
  if (coding === 'short') return weight.toFixed(weight < 0.5 ? 5 : 4);
  return weight.toPrecision(4);
}

/** A weight with two significant digits, for legends. */
function shortWeight(weight) {
  if (weight === 0) return '0';
  if (!Number.isFinite(weight)) return 'none';
  if (weight < 0.001) return weight.toExponential(1).replace('e-', ' · 10⁻').replace(/⁻(\d+)/, (_, d) => '⁻' + superscript(d));
  return weight.toFixed(Math.max(0, 1 - Math.floor(Math.log10(weight))));
}

function superscript(digits) {
  return [...digits].map((digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)]).join('');
}

/** A share in percent with one digit; tiny ones do not become 0. */
function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return '–';
  if (share > 0 && share < 0.0005) return '< 0.1 %';
  return `${(100 * share).toFixed(1)} %`;
}

/** A probability: in percent, with as many digits as tell it from 0 and from 1. */
function probabilityText(probability) {
  if (probability === null || Number.isNaN(probability)) return '–';
  if (probability > 0 && probability < 0.0005) return probability.toExponential(1);
  if (probability < 1 && probability > 0.9995) return '> 99.9 %';
  return `${(100 * probability).toFixed(1)} %`;
}

function bytesOfBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
