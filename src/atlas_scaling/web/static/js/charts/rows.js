// Rows of a chart: a value with its interval and others beside it, or bars.

import { h, put, s } from "../dom.js";
import { domain, makeScale, tickDecimals } from "./scale.js";
import { keys, symbol } from "./plot.js";
import { readable } from "./tip.js";
import { fixed } from "../format.js";

const ROW = 30;

function sized(draw) {
  const place = h("div", { class: "chart" });
  let drawn = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.round(entry.contentRect.width);
    if (width && width !== drawn) {
      drawn = width;
      put(place, draw(Math.max(240, width)));
    }
  }).observe(place);
  return place;
}

/** The longest label that fits, and the label cut to it. */
function labels(rows, width) {
  const room = Math.min(170, Math.max(84, width * 0.3));
  const most = Math.floor(room / 6.9);
  return { room, cut: (text) => (text.length > most ? `${text.slice(0, most - 1)}…` : text) };
}

/**
 * Dots with intervals, one row a thing.
 * rows: [{label, marks: [{value, interval, index, shape, hollow, tip}]}]; series: the legend.
 */
export function dotRows({ rows, series = [], label, title, format, scale = "linear", zero = false, height = ROW }) {
  const place = sized((width) => {
    const { room, cut } = labels(rows, width);
    const all = rows.flatMap((row) => row.marks.flatMap((m) => [m.value, ...(m.interval ?? [])]));
    const total = rows.length * height + 46;
    const x = makeScale(scale, domain(zero ? [...all, 0] : all, scale, 0.06), [room + 12, width - 12], Math.max(3, Math.floor((width - room) / 62)));
    const halo = s("circle", { class: "halo", r: 8, visibility: "hidden" });
    const svg = s("svg", { width, height: total, viewBox: `0 0 ${width} ${total}`, role: "img", tabindex: "0", "aria-label": label });
    const bottom = rows.length * height + 6;
    for (const tick of x.ticks) {
      svg.append(s("path", { class: tick === 0 && zero ? "zero" : "grid", d: `M${x.at(tick)},4V${bottom}` }),
        s("text", { x: x.at(tick), y: bottom + 16, "text-anchor": "middle" }, format ? format(tick) : fixed(tick, tickDecimals(x.ticks))));
    }
    svg.append(s("text", { x: width - 12, y: bottom + 34, "text-anchor": "end" }, title));
    const marks = [];
    rows.forEach((row, i) => {
      const y = i * height + (height > 34 ? height / 2 - 2 : height / 2 + 4);
      svg.append(s("text", { class: "strong", x: room, y: y + 4, "text-anchor": "end" }, cut(row.label), s("title", null, row.label)));
      for (const mark of row.marks.toReversed()) {
        if (mark.value === null) continue;
        const group = s("g", { class: `series-${(mark.index ?? 0) % 6}` });
        const at = x.at(mark.value);
        const lift = mark.lift ?? 0;
        if (mark.interval && mark.interval.some((end) => end !== null)) {
          group.append(s("path", { class: "mark-interval", d: intervalPath(mark.interval, x, y + lift, [room + 4, width - 4]) }));
        }
        group.append(s("path", { class: mark.hollow ? "mark-dot hollow" : "mark-dot", d: symbol(mark.shape ?? "circle", mark.radius ?? 5), transform: `translate(${at},${y + lift})` }));
        svg.append(group);
        if (mark.tip) marks.push({ x: at, y: y + lift, tip: mark.tip, pick: mark.pick });
      }
    });
    svg.append(halo);
    marks.sort((a, b) => a.y - b.y || a.x - b.x);
    readable(svg, marks, halo);
    return svg;
  });
  return h("div", { class: "plot" }, keys(series.map((one) => ({ line: false, points: [1], ...one }))), place);
}

/** A line from end to end; an end that nothing bounds is an arrow out of the chart. */
function intervalPath([low, high], x, y, [left, right]) {
  const from = low === null ? `M${left + 5},${y - 4}l-5,4l5,4M${left},${y}` : `M${x.at(low)},${y}`;
  return from + (high === null ? `H${right}m-5,-4l5,4l-5,4` : `H${x.at(high)}`);
}

/** Bars from zero. rows: [{label, value, text, index, interval, tip}]. */
export function barRows({ rows, label, format = (v) => fixed(v, 2), signed = false, height = 28 }) {
  return sized((width) => {
    const { room, cut } = labels(rows, width);
    const longest = Math.max(...rows.map((row) => row.text.length), 3) * 7 + 12;
    const values = rows.flatMap((row) => [row.value, ...(row.interval ?? [])]).filter((v) => v !== null);
    const high = Math.max(...values, signed ? 0 : 1e-12);
    const low = signed ? Math.min(...values, 0) : 0;
    const x = makeScale("linear", [low, high > low ? high : low + 1], [room + 12 + (low < 0 ? longest : 0), width - longest], 5);
    const total = rows.length * height + 6;
    const halo = s("circle", { class: "halo", r: 6, visibility: "hidden" });
    const svg = s("svg", { width, height: total, viewBox: `0 0 ${width} ${total}`, role: "img", tabindex: "0", "aria-label": label });
    const marks = [];
    rows.forEach((row, i) => {
      const y = i * height + 5;
      const middle = y + (height - 10) / 2;
      const [a, b] = [x.at(Math.min(0, row.value)), x.at(Math.max(0, row.value))];
      const end = row.interval ? Math.max(b, x.at(row.interval[1])) : b;
      svg.append(s("text", { class: "strong", x: room, y: middle + 4, "text-anchor": "end" }, cut(row.label), s("title", null, row.label)),
        s("g", { class: `series-${(row.index ?? 0) % 6}` },
          s("rect", { class: "mark-bar", x: a, y, width: Math.max(1.5, b - a), height: height - 10, rx: 2.5 }),
          row.interval ? s("path", { class: "axis-line interval", d: `M${x.at(row.interval[0])},${middle}H${x.at(row.interval[1])}m0,-4v8M${x.at(row.interval[0])},${middle - 4}v8` }) : null),
        row.value < 0 ? s("text", { x: a - 6, y: middle + 4, "text-anchor": "end" }, row.text) : s("text", { x: end + 6, y: middle + 4 }, row.text));
      marks.push({ x: row.value < 0 ? a : b, y: middle, tip: row.tip ?? `${row.label}: ${row.text || format(row.value)}` });
    });
    svg.append(halo);
    readable(svg, marks, halo, { horizontal: true, reach: height / 2 });
    return svg;
  });
}
