// A transfer matrix on a canvas: 38 x 38 and 100 x 100 alike, zoomable, walked with the arrow keys.
// What a cell is stands in its form, not its colour alone: scores from runs fill their square,
// estimates a smaller one, bounds carry a triangle, unknown pairs a dot.

import { announce, h } from "../dom.js";
import { hideTip, showTip } from "./tip.js";

const STOPS = 7;
const STRIP = 15;
const MOST_CELL = 62;

/**
 * @param {object} options matrix (the API's), order -> {rows, columns, groups}, describe(i, j) -> text,
 *   label(code), onPick(target, source).
 */
export function heatMap({ matrix, describe, label, onPick }) {
  const canvas = h("canvas", { tabindex: "0", role: "application", "aria-roledescription": "matrix", "aria-label": "Transfer matrix. Arrow keys walk, Enter opens a pair, plus and minus zoom." });
  const context = canvas.getContext("2d");
  const element = h("div", { class: "heat" }, canvas);
  const state = { rows: [], columns: [], rowGroups: [], columnGroups: [], cell: 0, fit: 0, x: 0, y: 0, width: 0, height: 0, at: null, picked: null, measuredOnly: false };
  let colors = readColors();

  const range = Math.max(0.5, Math.min(2, Math.max(...matrix.values.flat().filter((v) => v !== null).map(Math.abs), ...bounds(matrix).map(Math.abs), 0)));

  function layout() {
    const width = element.clientWidth;
    if (!width) return;
    const small = width < 560;
    state.left = (small ? 74 : 132) + (state.rowGroups.length ? STRIP : 0);
    state.top = (small ? 70 : 116) + (state.columnGroups.length ? STRIP : 0);
    const columns = Math.max(1, state.columns.length);
    const rows = Math.max(1, state.rows.length);
    const byWidth = (width - state.left - 2) / columns;
    const most = Math.max(320, Math.min(innerHeight * 0.86, 980));
    state.fit = Math.max(2.2, Math.min(byWidth, MOST_CELL, (most - state.top) / rows < byWidth * 0.62 ? byWidth : Math.max(byWidth * 0.62, (most - state.top) / rows)));
    state.width = width;
    state.height = Math.min(state.top + state.fit * rows + 2, Math.max(most, 420));
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(state.width * ratio);
    canvas.height = Math.round(state.height * ratio);
    canvas.style.setProperty("width", `${state.width}px`);
    canvas.style.setProperty("height", `${state.height}px`);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (!state.zoomed || state.cell < state.fit) {
      state.cell = state.fit;
      state.zoomed = false;
    }
    clamp();
    draw();
  }

  function clamp() {
    const roomX = state.width - state.left;
    const roomY = state.height - state.top;
    state.x = Math.max(0, Math.min(state.x, state.cell * state.columns.length - roomX));
    state.y = Math.max(0, Math.min(state.y, state.cell * state.rows.length - roomY));
    // a page must scroll past a matrix that is shown whole
    canvas.style.setProperty("touch-action", state.zoomed ? "none" : "pan-y");
  }

  function draw() {
    const { left, top, cell, x, y, width, height } = state;
    const c = context;
    c.clearRect(0, 0, width, height);
    c.save();
    c.beginPath();
    c.rect(left, top, width - left, height - top);
    c.clip();
    const firstColumn = Math.floor(x / cell);
    const lastColumn = Math.min(state.columns.length - 1, Math.ceil((x + width - left) / cell));
    const firstRow = Math.floor(y / cell);
    const lastRow = Math.min(state.rows.length - 1, Math.ceil((y + height - top) / cell));
    for (let r = firstRow; r <= lastRow; r += 1) {
      for (let k = firstColumn; k <= lastColumn; k += 1) drawCell(c, r, k);
    }
    separators(c);
    for (const [place, stroke, thick] of [[state.at, colors.ink, 2], [state.picked, colors.ink, 3]]) {
      if (place) {
        c.strokeStyle = stroke;
        c.lineWidth = thick;
        c.strokeRect(left + place.k * cell - x + 0.5, top + place.r * cell - y + 0.5, cell - 1, cell - 1);
      }
    }
    c.restore();
    labels(c);
  }

  function drawCell(c, r, k) {
    const [i, j] = [state.rows[r], state.columns[k]];
    const { cell } = state;
    const px = state.left + k * cell - state.x;
    const py = state.top + r * cell - state.y;
    const gap = cell > 9 ? 1 : 0.4;
    if (matrix.targets[i] === matrix.sources[j]) {
      c.fillStyle = colors.line;
      c.fillRect(px + gap, py + gap, cell - 2 * gap, cell - 2 * gap);
      return;
    }
    const kind = matrix.provenance[i][j];
    const value = shown(i, j);
    if (value === null || (state.measuredOnly && kind === "estimated")) {
      if (cell > 7) {
        c.fillStyle = colors.axis;
        c.fillRect(px + cell / 2 - 1, py + cell / 2 - 1, 2, 2);
      }
      return;
    }
    const inset = kind === "estimated" ? gap + cell * 0.12 : gap;
    c.fillStyle = paint(value);
    c.fillRect(px + inset, py + inset, cell - 2 * inset, cell - 2 * inset);
    if (kind !== "estimated" && cell > 11) {
      c.strokeStyle = colors.muted;
      c.lineWidth = 1;
      c.strokeRect(px + gap + 0.5, py + gap + 0.5, cell - 2 * gap - 1, cell - 2 * gap - 1);
    }
    if (kind === "censored" && cell > 6) triangle(c, px + cell / 2, py + cell / 2, Math.min(7, cell * 0.3), isBelow(i, j), value);
    else if (cell >= 28) {
      c.fillStyle = inkOn(value);
      c.font = `${kind === "estimated" ? 400 : 650} ${cell > 44 ? 12 : 10.5}px Inter, sans-serif`;
      c.textAlign = "center";
      c.textBaseline = "middle";
      c.fillText((matrix.early[i][j] ? "~" : "") + text(value, cell >= 52 && !(matrix.early[i][j] && cell < 56) ? 2 : 1), px + cell / 2, py + cell / 2 + 0.5);
    }
  }

  function triangle(c, x, y, size, down, value) {
    c.fillStyle = inkOn(value);
    c.beginPath();
    const sign = down ? 1 : -1;
    c.moveTo(x - size, y - sign * size * 0.7);
    c.lineTo(x + size, y - sign * size * 0.7);
    c.lineTo(x, y + sign * size * 0.9);
    c.fill();
  }

  function separators(c) {
    c.fillStyle = colors.paper;
    for (const group of state.rowGroups.slice(1)) c.fillRect(state.left, state.top + group.from * state.cell - state.y - 1, state.width, 2);
    for (const group of state.columnGroups.slice(1)) c.fillRect(state.left + group.from * state.cell - state.x - 1, state.top, 2, state.height);
  }

  function labels(c) {
    const { left, top, cell, x, y, width, height } = state;
    const size = Math.min(12.5, Math.max(8.5, cell * 0.82));
    const every = Math.max(1, Math.ceil(9.5 / cell));
    c.textBaseline = "middle";
    c.save();
    c.beginPath();
    c.rect(0, top, left, height - top);
    c.clip();
    state.rows.forEach((i, r) => {
      const py = top + (r + 0.5) * cell - y;
      const active = state.at?.r === r || state.picked?.r === r;
      if (py < top || py > height || (r % every && !active)) return;
      c.font = `${active ? 650 : 450} ${active ? Math.max(size, 11) : size}px Inter, sans-serif`;
      c.fillStyle = active ? colors.ink : colors.muted;
      c.textAlign = "right";
      c.fillText(cut(c, label(matrix.targets[i]), left - 12 - (state.rowGroups.length ? STRIP : 0)), left - 6, py);
    });
    strips(c, state.rowGroups, false);
    c.restore();
    c.save();
    c.beginPath();
    c.rect(left, 0, width - left, top);
    c.clip();
    state.columns.forEach((j, k) => {
      const px = left + (k + 0.5) * cell - x;
      const active = state.at?.k === k || state.picked?.k === k;
      if (px < left || px > width || (k % every && !active)) return;
      c.save();
      c.translate(px, top - 6);
      c.rotate(-Math.PI / 2);
      c.font = `${active ? 650 : 450} ${active ? Math.max(size, 11) : size}px Inter, sans-serif`;
      c.fillStyle = active ? colors.ink : colors.muted;
      c.textAlign = "left";
      c.fillText(cut(c, label(matrix.sources[j]), top - 12 - (state.columnGroups.length ? STRIP : 0)), 0, 0);
      c.restore();
    });
    strips(c, state.columnGroups, true);
    c.restore();
    c.fillStyle = colors.muted;
    c.font = "500 11px Inter, sans-serif";
    c.textAlign = "left";
    c.textBaseline = "alphabetic";
    c.fillText(width < 560 ? "row: target" : "rows: target", 2, top - 22);
    c.fillText(width < 560 ? "column: source" : "columns: source", 2, top - 7);
  }

  /** Names of groups along the edge, as far as there is room. */
  function strips(c, groups, across) {
    const { left, top, cell, x, y } = state;
    c.font = "560 10px Inter, sans-serif";
    groups.forEach((group, n) => {
      const from = (across ? left - x : top - y) + group.from * cell + 1;
      const length = (group.to - group.from) * cell - 2;
      c.fillStyle = n % 2 ? colors.line : colors.wash;
      if (across) c.fillRect(from, 0, length, STRIP - 2);
      else c.fillRect(0, from, STRIP - 2, length);
      const name = cut(c, group.name, length - 6);
      if (name.length < 3 && name !== group.name) return;
      c.fillStyle = colors.ink;
      c.textAlign = "center";
      c.textBaseline = "middle";
      c.save();
      if (across) c.translate(from + length / 2, STRIP / 2 - 0.5);
      else {
        c.translate(STRIP / 2 - 0.5, from + length / 2);
        c.rotate(-Math.PI / 2);
      }
      c.fillText(name, 0, 0);
      c.restore();
    });
  }

  const isBelow = (i, j) => matrix.upper[i][j] !== null && matrix.upper[i][j] < 2;
  const shown = (i, j) => matrix.values[i][j] ?? (isBelow(i, j) ? matrix.upper[i][j] : matrix.lower[i][j]);

  /** Text on a cell: whichever of the two inks stands out on its colour. */
  function inkOn(value) {
    const [r, g, b] = channelsOf(value).map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.19 ? colors.onLight : colors.onDark;
  }

  const paint = (value) => `rgb(${channelsOf(value).join(",")})`;

  function channelsOf(value) {
    const at = ((Math.max(-range, Math.min(range, value)) + range) / (2 * range)) * (STOPS - 1);
    const low = Math.min(STOPS - 2, Math.floor(at));
    const share = at - low;
    const [a, b] = [colors.scale[low], colors.scale[low + 1]];
    return a.map((channel, n) => Math.round(channel + (b[n] - channel) * share));
  }

  const cellAt = (event) => {
    const box = canvas.getBoundingClientRect();
    const k = Math.floor((event.clientX - box.left - state.left + state.x) / state.cell);
    const r = Math.floor((event.clientY - box.top - state.top + state.y) / state.cell);
    const inside = event.clientX - box.left >= state.left && event.clientY - box.top >= state.top && k < state.columns.length && r < state.rows.length;
    return inside && k >= 0 && r >= 0 ? { r, k } : null;
  };
  const codes = ({ r, k }) => [state.rows[r], state.columns[k]];
  const tell = (place, x, y) => showTip(describe(...codes(place)), x, y);
  const pick = (place) => {
    state.picked = place;
    draw();
    const [i, j] = codes(place);
    onPick(matrix.targets[i], matrix.sources[j]);
  };

  function zoom(factor, fx = 0.5, fy = 0.5) {
    const before = state.cell;
    const after = Math.max(state.fit, Math.min(MOST_CELL, before * factor));
    if (after === before) return;
    const ax = fx * (state.width - state.left);
    const ay = fy * (state.height - state.top);
    state.x = ((state.x + ax) * after) / before - ax;
    state.y = ((state.y + ay) * after) / before - ay;
    state.cell = after;
    state.zoomed = after > state.fit * 1.001;
    clamp();
    draw();
  }

  const fingers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    moved = 0;
    if (state.zoomed) canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (last && state.zoomed) {
      const spread = () => {
        const [a, b] = [...fingers.values()];
        return Math.hypot(a[0] - b[0], a[1] - b[1]);
      };
      const before = fingers.size === 2 ? spread() : 0;
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      moved += Math.abs(event.clientX - last[0]) + Math.abs(event.clientY - last[1]);
      if (fingers.size === 2) zoom(spread() / before);
      else {
        state.x -= event.clientX - last[0];
        state.y -= event.clientY - last[1];
        clamp();
        draw();
      }
      hideTip();
      return;
    }
    const place = cellAt(event);
    state.at = place;
    draw();
    if (place) tell(place, event.clientX, event.clientY);
    else hideTip();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      fingers.delete(event.pointerId);
      const place = cellAt(event);
      if (end === "pointerup" && moved < 6 && place) pick(place);
    });
  }
  canvas.addEventListener("pointerleave", () => {
    state.at = null;
    hideTip();
    draw();
  });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls; pinching zooms
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 160), (event.clientX - box.left - state.left) / (state.width - state.left), (event.clientY - box.top - state.top) / (state.height - state.top));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (step) {
      const from = state.at ?? state.picked ?? { r: 0, k: -1 };
      state.at = { r: Math.max(0, Math.min(state.rows.length - 1, from.r + step[0])), k: Math.max(0, Math.min(state.columns.length - 1, from.k + step[1])) };
      follow(state.at);
      draw();
      const box = canvas.getBoundingClientRect();
      tell(state.at, box.left + state.left + (state.at.k + 0.5) * state.cell - state.x, box.top + state.top + (state.at.r + 0.5) * state.cell - state.y);
      announce(describe(...codes(state.at)).replaceAll("\n", ", "));
    } else if (event.key === "Enter" && state.at) pick(state.at);
    else if (event.key === "+" || event.key === "=") zoom(1.3);
    else if (event.key === "-") zoom(1 / 1.3);
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("blur", hideTip);

  /** Keep a cell in sight. */
  function follow({ r, k }) {
    const [roomX, roomY] = [state.width - state.left, state.height - state.top];
    state.x = Math.max(Math.min(state.x, k * state.cell), (k + 1) * state.cell - roomX);
    state.y = Math.max(Math.min(state.y, r * state.cell), (r + 1) * state.cell - roomY);
    clamp();
  }

  new ResizeObserver(layout).observe(element);
  const recolor = () => {
    colors = readColors();
    draw();
  };
  document.addEventListener("themechange", recolor);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", recolor);
  document.fonts?.ready.then(draw);

  return {
    element,
    range,
    zoom,
    whole() {
      state.zoomed = false;
      state.cell = state.fit;
      clamp();
      draw();
    },
    order(rows, columns, rowGroups = [], columnGroups = []) {
      Object.assign(state, { rows, columns, rowGroups, columnGroups, at: null, picked: null, zoomed: false });
      layout();
    },
    select(target, source) {
      const r = state.rows.findIndex((i) => matrix.targets[i] === target);
      const k = state.columns.findIndex((j) => matrix.sources[j] === source);
      state.picked = r >= 0 && k >= 0 ? { r, k } : null;
      if (state.picked) follow(state.picked);
      draw();
    },
    measuredOnly(on) {
      state.measuredOnly = on;
      draw();
    },
    stop() {
      document.removeEventListener("themechange", recolor);
      dark.removeEventListener("change", recolor);
    },
  };
}

const text = (value, decimals) => (value > 0 ? "+" : value < 0 || Object.is(value, -0) ? "−" : "") + Math.abs(value).toFixed(decimals);

const bounds = (matrix) => matrix.provenance.flatMap((row, i) => row.flatMap((kind, j) => (kind === "censored" ? [matrix.upper[i][j] ?? 0, matrix.lower[i][j] ?? 0].filter((v) => v !== null && v < 2) : [])));

function cut(c, label, room) {
  if (c.measureText(label).width <= room) return label;
  let text = label;
  while (text.length > 1 && c.measureText(`${text}…`).width > room) text = text.slice(0, -1);
  return `${text}…`;
}

function readColors() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  const channels = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return {
    ink: read("ink"), muted: read("muted"), line: read("line"), axis: read("axis"), paper: read("paper"), wash: read("wash"), onLight: read("on-light"), onDark: read("on-dark"),
    scale: Array.from({ length: STOPS }, (_, i) => channels(read(`scale-${i}`))),
  };
}

/** The legend of the colours and forms. */
export function heatKeys(range) {
  const gradient = h("span", { class: "gradient", "aria-hidden": "true" });
  return h("div", { class: "heat-keys small muted" },
    h("span", { class: "row" }, `−${range.toFixed(1)}`, gradient, `+${range.toFixed(1)}`, h("span", null, "harms · nothing · helps")),
    h("span", { class: "row" }, h("i", { class: "form whole" }), "from runs"),
    h("span", { class: "row" }, h("i", { class: "form part" }), "estimated"),
    h("span", { class: "row" }, h("span", { "aria-hidden": "true" }, "▼▲"), "bound only: below, above"),
    h("span", { class: "row" }, h("span", { "aria-hidden": "true" }, "·"), "not known"));
}

