// Scales and their ticks.

const STEPS = [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 8]];

/** A scale from a domain to pixels: `at(value)`, `ticks`. */
export function makeScale(kind, [low, high], [from, to], most = 6) {
  if (kind === "log") {
    const [a, b] = [Math.log10(low), Math.log10(high)];
    return { kind, low, high, at: (v) => from + ((Math.log10(v) - a) / (b - a || 1)) * (to - from), ticks: logTicks(low, high, most) };
  }
  return { kind, low, high, at: (v) => from + ((v - low) / (high - low || 1)) * (to - from), ticks: linearTicks(low, high, most) };
}

/** Round numbers on a log axis, as many as can be read. */
function logTicks(low, high, most = 6) {
  const decades = [];
  for (let d = Math.floor(Math.log10(low)); d <= Math.ceil(Math.log10(high)); d += 1) decades.push(d);
  let best = [];
  for (const steps of STEPS) {
    const ticks = decades.flatMap((d) => steps.map((step) => Number(`${step}e${d}`)))
      .filter((tick) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9));
    if (ticks.length <= most && ticks.length > best.length) best = ticks;
  }
  if (best.length > 1) return best;
  if (high / low < 3) return linearTicks(low, high, Math.min(most, 4));
  const each = Math.ceil(decades.length / most);
  return decades.filter((_, i) => i % each === 0).map((d) => Number(`1e${d}`)).filter((tick) => tick >= low && tick <= high);
}

/** Round numbers on a linear axis, two at the least: one alone gives no scale to read from. */
function linearTicks(low, high, most = 6) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / Math.max(1, most - 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((m) => m >= rough * 0.999);
  const ticks = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-9; tick += step) ticks.push(Number(tick.toPrecision(12)));
  return ticks.length > 1 || most > 50 ? ticks : linearTicks(low, high, 2 * most);
}

/** Ends of values with some room, on a log or a linear scale. */
export function domain(values, kind, pad = 0.05) {
  const finite = values.filter((v) => v !== null && v !== undefined && Number.isFinite(v) && (kind !== "log" || v > 0));
  if (!finite.length) return kind === "log" ? [1, 10] : [0, 1];
  let [low, high] = [Math.min(...finite), Math.max(...finite)];
  if (kind === "log") {
    if (low === high) [low, high] = [low / 1.5, high * 1.5];
    const room = (high / low) ** pad;
    return [low / room, high * room];
  }
  if (low === high) [low, high] = [low - Math.abs(low || 1) * 0.1, high + Math.abs(high || 1) * 0.1];
  const room = (high - low) * pad;
  return [low - room, high + room];
}

/** Decimals that tell ticks apart. */
export function tickDecimals(ticks) {
  if (ticks.length < 2) return 2;
  const step = Math.min(...ticks.slice(1).map((tick, i) => Math.abs(tick - ticks[i])));
  for (let n = 0; n < 6; n += 1) {
    if (Math.abs(step * 10 ** n - Math.round(step * 10 ** n)) < 1e-6) return n;
  }
  return 6;
}
