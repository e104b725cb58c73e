// Numbers as people read them, with no more digits than are known.

const SUFFIXES = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]];
export const MISSING = "–";
const NBSP = "\u00a0";

const round = (value, digits) => Number(value.toPrecision(digits));

/** `2.03B`, `400M`, `950`. */
export function count(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const shown = round(value, digits);
  for (const [unit, letter] of SUFFIXES) {
    if (Math.abs(shown) >= unit) return round(shown / unit, digits) + letter;
  }
  return String(shown);
}

/** A power of ten with its factor: `3.2 × 10^21`, as [text, exponent]. */
function scientific(value, digits = 2) {
  const [factor, exponent] = value.toExponential(digits - 1).split("e").map(Number);
  return [factor === 1 ? "10" : `${factor}${NBSP}×${NBSP}10`, exponent];
}

const RAISED = { 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹", "-": "⁻" };

/** `3.2 × 10²¹`. */
export function flops(value, digits = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const [text, exponent] = scientific(value, digits);
  return text + [...String(exponent)].map((c) => RAISED[c]).join("");
}

/** FLOPs as they are typed: `1e21`, `3.2e18`. */
export const typedFlops = (value) => (value === null ? "" : Number(value.toPrecision(6)).toExponential().replace("e+", "e"));

/** A count as it is typed: `2B`, `1e21`. */
export function typed(value) {
  if (value === null || value === undefined) return "";
  if (value >= 1e15) return value.toExponential().replace("e+", "e").replace(/\.0+e/, "e");
  for (const [unit, letter] of SUFFIXES) {
    if (value >= unit) {
      const text = String(Number((value / unit).toPrecision(6)));
      return text + letter;
    }
  }
  return String(Number(value.toPrecision(6)));
}

const COUNT = /^\s*(\d[\d_,]*\.?\d*|\.\d+)(e[+-]?\d+)?\s*([kmbgt]?)\s*$/i;
const FACTORS = { "": 1, k: 1e3, m: 1e6, b: 1e9, g: 1e9, t: 1e12 };

/** The number in `2B`, `1e21`, `400 M`; null for an empty text, NaN for none. */
export function parseCount(text) {
  if (!text.trim()) return null;
  const match = COUNT.exec(text);
  if (!match) return NaN;
  const value = Number(match[1].replace(/[_,]/g, "") + (match[2] ?? "")) * FACTORS[match[3].toLowerCase()];
  return Number.isFinite(value) && value > 0 ? value : NaN;
}

/** Decimals that show the width of an interval with two digits, at most four. */
export function decimalsFor(width, most = 4) {
  if (!(width > 0) || !Number.isFinite(width)) return 2;
  return Math.max(0, Math.min(most, 1 - Math.floor(Math.log10(width))));
}

/** A value to so many decimals, with a true minus. */
export function fixed(value, decimals = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const text = value.toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

/** `+0.42` with a true minus. */
export function signed(value, decimals = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  return (value >= 0 ? "+" : "") + fixed(value, decimals);
}

/** So many significant digits, no exponent where it is not needed. */
export function digits(value, n = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-4)) {
    return value.toExponential(n - 1).replace("e+", "e").replace("-", "−");
  }
  return String(round(value, n)).replace("-", "−");
}

/** What an estimate can tell: its value and interval with fitting decimals. */
export function estimate({ value, interval }, { plain = 2 } = {}) {
  if (value === null) return { value: MISSING, interval: null };
  if (!interval || interval.some((end) => end === null)) {
    return { value: fixed(value, plain), interval: halfOpen(interval, plain) };
  }
  const decimals = decimalsFor(interval[1] - interval[0]);
  return { value: fixed(value, decimals), interval: `${fixed(interval[0], decimals)} to ${fixed(interval[1], decimals)}` };
}

function halfOpen(interval, decimals) {
  if (!interval || (interval[0] === null && interval[1] === null)) return null;
  return interval[0] === null ? `below ${fixed(interval[1], decimals)}` : `above ${fixed(interval[0], decimals)}`;
}

/** The same for counts: `2.1B`, `1.9B to 2.4B`. */
export function countEstimate({ value, interval }, shown = count) {
  if (value === null) return { value: MISSING, interval: null };
  if (!interval || interval.some((end) => end === null)) return { value: shown(value), interval: null };
  const relative = (interval[1] - interval[0]) / value;
  const n = relative > 0 ? Math.max(2, Math.min(3, 1 - Math.floor(Math.log10(relative)))) : 3;
  return { value: shown(value, n), interval: `${shown(interval[0], n)} to ${shown(interval[1], n)}` };
}

/** A share as a percentage: `12 %`, `3.4 %`, `0.02 %`. */
export function percent(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return MISSING;
  const value = share * 100;
  if (value === 0) return `0${NBSP}%`;
  return `${value >= 9.95 ? value.toFixed(0) : Number(value.toPrecision(2))}${NBSP}%`;
}

/** A share of draws; what is merely small or near one is not shown as none or all. */
export const chance = (share) => (share < 0.01 ? `<${NBSP}1${NBSP}%` : share > 0.99 ? `>${NBSP}99${NBSP}%` : percent(share));

/** A factor: `1.18×`. */
export const factor = (value, n = 3) => (value === null ? MISSING : `${Number(value.toPrecision(n))}×`);

/** Seconds as `3 min`, `2.1 h`, `5 days`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return MISSING;
  if (seconds < 1) return "less than 1 s";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Number((seconds / 3600).toPrecision(2))} h`;
  return `${Number((seconds / 86_400).toPrecision(2))} days`;
}

/** `1,240`, or `3.2M` where that is long. */
export function amount(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  if (value >= 1e6) return count(value);
  return value >= 100 ? Math.round(value).toLocaleString("en") : String(round(value, 2));
}

/** `1 run`, `3 runs`. */
export const counted = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

/** `a, b and c`. */
export function listed(items) {
  if (items.length < 2) return items[0] ?? "none";
  return `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}

/** Rows as CSV. */
export function csv(columns, rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

const LETTERS = { alpha: "α", beta: "β", gamma: "γ", delta: "δ", lam: "λ", phi: "φ", psi: "ψ", tau: "τ" };

/** A parameter as papers print it: `α`, `τ of Danish`. */
export function parameter(name, languageName) {
  const [group, label] = name.split("[");
  const [first, ...rest] = group.split("_");
  const letter = [LETTERS[first] ?? first, ...rest].join(" ");
  return label ? `${letter} of ${languageName(label.replace("]", ""))}` : letter;
}
