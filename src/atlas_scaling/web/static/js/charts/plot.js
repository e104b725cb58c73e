// Curves, bands and points over two axes. Drawn at the width of its place, anew when that changes.

import { h, put, s } from "../dom.js";
import { domain, makeScale, tickDecimals } from "./scale.js";
import { readable } from "./tip.js";
import { fixed } from "../format.js";

const SHAPES = {
  circle: (r) => `M${r},0A${r},${r},0,1,1,${-r},0A${r},${r},0,1,1,${r},0Z`,
  square: (r) => `M${-r},${-r}H${r}V${r}H${-r}Z`,
  diamond: (r) => `M0,${-1.3 * r}L${1.2 * r},0L0,${1.3 * r}L${-1.2 * r},0Z`,
  up: (r) => `M0,${-1.2 * r}L${1.2 * r},${r}H${-1.2 * r}Z`,
  down: (r) => `M0,${1.2 * r}L${1.2 * r},${-r}H${-1.2 * r}Z`,
  cross: (r) => `M${-0.4 * r},${-1.2 * r}H${0.4 * r}V${-0.4 * r}H${1.2 * r}V${0.4 * r}H${0.4 * r}V${1.2 * r}H${-0.4 * r}V${0.4 * r}H${-1.2 * r}V${-0.4 * r}H${-0.4 * r}Z`,
};
const SHAPE_NAMES = ["circle", "square", "up", "diamond", "cross", "down"];
const DASHES = [null, "6 4", "2 4", "9 3 2 3", null, "4 2"];

/** The path of a symbol. */
export const symbol = (shape, radius = 4) => SHAPES[shape](radius);

/**
 * @param {object} spec label (for screen readers), x and y: {scale, title, format, domain, marks},
 *   series: [{name, index, shape, line, dash, points: [{x, y, low, high, tip, hollow, shape, pick}], band}],
 *   height, rules: [{x|y, text}].
 */
export function plot(spec) {
  const place = h("div", { class: "chart" });
  let drawn = 0;
  const draw = (width) => {
    drawn = width;
    put(place, picture(spec, Math.max(240, width)));
  };
  const observer = new ResizeObserver(([entry]) => {
    const width = Math.round(entry.contentRect.width);
    if (width && width !== drawn) draw(width);
  });
  observer.observe(place);
  return h("div", { class: "plot" }, keys(spec.series), place);
}

/** A legend; nothing for a single unnamed series. */
export function keys(series) {
  const named = series.filter((one) => one.name);
  if (named.length < 2) return null;
  return h("ul", { class: "keys" }, named.map((one) => h("li", null,
    s("svg", { viewBox: "0 0 22 12", "aria-hidden": "true", class: seriesClass(one) },
      one.line === false ? null : s("path", { class: "mark-line", d: "M1,6H21", "stroke-dasharray": dashOf(one) }),
      one.points?.length && one.dots !== false ? s("path", { class: one.hollow ? "mark-dot hollow" : "mark-dot", d: symbol(shapeOf(one)), transform: "translate(11,6)" }) : null),
    one.name)));
}

const seriesClass = (one) => `series-${one.index % 6}`;
const shapeOf = (one) => one.shape ?? SHAPE_NAMES[one.index % SHAPE_NAMES.length];
const dashOf = (one) => one.dash ?? DASHES[one.index % DASHES.length];

function picture(spec, width) {
  const height = spec.height ?? 260;
  const points = spec.series.flatMap((one) => one.points ?? []);
  const bands = spec.series.flatMap((one) => one.band ?? []);
  const yValues = [...points.flatMap((p) => [p.y, p.low, p.high]), ...bands.flatMap((b) => [b.low, b.high]), ...(spec.rules ?? []).map((r) => r.y)];
  const xValues = [...points.map((p) => p.x), ...bands.map((b) => b.x), ...(spec.rules ?? []).map((r) => r.x)];
  const yDomain = spec.y.domain ?? domain(yValues, spec.y.scale);
  const xDomain = spec.x.domain ?? domain(xValues, spec.x.scale, 0.03);
  const yFormat = spec.y.format ?? defaultFormat;
  const xFormat = spec.x.format ?? defaultFormat;
  const yProbe = makeScale(spec.y.scale, yDomain, [0, 1], 6).ticks;
  const longest = Math.max(...yProbe.map((tick) => yFormat(tick, yProbe).length), 2);
  const left = Math.min(86, 14 + longest * 6.6);
  const area = { left, right: width - 14, top: 26, bottom: height - 40 };
  const x = makeScale(spec.x.scale, xDomain, [area.left, area.right], Math.max(3, Math.floor((area.right - area.left) / 78)));
  const y = makeScale(spec.y.scale, yDomain, [area.bottom, area.top], 6);
  const halo = s("circle", { class: "halo", r: 7, visibility: "hidden" });
  const svg = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: points.some((p) => p.tip) ? "0" : null, "aria-label": spec.label });
  svg.append(...axes(x, y, area, spec, xFormat, yFormat));
  const marks = [];
  for (const one of spec.series) {
    const group = s("g", { class: seriesClass(one) });
    if (one.band?.length) group.append(s("path", { class: "mark-band", d: bandPath(one.band, x, y) }));
    const shown = (one.points ?? []).filter((p) => p.y !== null && Number.isFinite(p.y));
    if (one.line !== false && shown.length > 1) {
      group.append(s("path", { class: "mark-line", d: `M${shown.map((p) => `${r1(x.at(p.x))},${r1(y.at(p.y))}`).join("L")}`, "stroke-dasharray": dashOf(one) }));
    }
    for (const p of shown) {
      const [px, py] = [x.at(p.x), y.at(p.y)];
      if (one.dots !== false && p.low !== undefined && p.low !== null && p.high !== null) {
        group.append(s("path", { class: "mark-interval", d: `M${r1(px)},${r1(y.at(p.low))}V${r1(y.at(p.high))}` }));
      }
      if (one.dots !== false) {
        group.append(s("path", { class: p.hollow || one.hollow ? "mark-dot hollow" : "mark-dot", d: symbol(p.shape ?? shapeOf(one), one.radius ?? 4), transform: `translate(${r1(px)},${r1(py)})` }));
      }
      if (p.tip) marks.push({ x: px, y: py, tip: p.tip, pick: p.pick });
    }
    svg.append(group);
  }
  for (const rule of spec.rules ?? []) svg.append(...ruleMarks(rule, x, y, area));
  svg.append(halo);
  marks.sort((a, b) => a.x - b.x);
  readable(svg, marks, halo);
  return svg;
}

const r1 = (value) => Math.round(value * 10) / 10;

function defaultFormat(tick, ticks) {
  return fixed(tick, tickDecimals(ticks));
}

function axes(x, y, area, spec, xFormat, yFormat) {
  const parts = [];
  for (const tick of y.ticks) {
    const at = r1(y.at(tick));
    parts.push(s("path", { class: tick === 0 && y.kind !== "log" ? "zero" : "grid", d: `M${area.left},${at}H${area.right}` }),
      s("text", { x: area.left - 8, y: at + 4, "text-anchor": "end" }, yFormat(tick, y.ticks)));
  }
  for (const tick of x.ticks) {
    const at = r1(x.at(tick));
    parts.push(s("path", { class: "axis-line", d: `M${at},${area.bottom}v5` }), s("text", { x: at, y: area.bottom + 18, "text-anchor": "middle" }, xFormat(tick, x.ticks)));
  }
  parts.push(s("path", { class: "axis-line", d: `M${area.left},${area.bottom}H${area.right}` }),
    s("text", { x: area.right, y: area.bottom + 34, "text-anchor": "end" }, spec.x.title),
    s("text", { x: 0, y: 12 }, spec.y.title));
  return parts;
}

function bandPath(band, x, y) {
  const inside = (v) => Math.max(y.low, Math.min(y.high, v));
  const up = band.map((b) => `${r1(x.at(b.x))},${r1(y.at(inside(b.high)))}`);
  const down = band.toReversed().map((b) => `${r1(x.at(b.x))},${r1(y.at(inside(b.low)))}`);
  return `M${[...up, ...down].join("L")}Z`;
}

function ruleMarks(rule, x, y, area) {
  if (rule.x !== undefined) {
    const at = r1(x.at(rule.x));
    const flip = at > (area.left + area.right) / 2;
    return [s("path", { class: "zero", d: `M${at},${area.top}V${area.bottom}` }),
      s("text", { class: "strong", x: at + (flip ? -6 : 6), y: area.top + 10, "text-anchor": flip ? "end" : "start" }, rule.text)];
  }
  const at = r1(y.at(rule.y));
  return [s("path", { class: "zero", d: `M${area.left},${at}H${area.right}` }), s("text", { x: area.right, y: at - 5, "text-anchor": "end" }, rule.text)];
}
