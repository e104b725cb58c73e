// Transfer: which languages help which; by /api/transfer.

import { get, post, runJob } from "../api.js";
import { heatKeys, heatMap } from "../charts/heat.js";
import { h, put, toast } from "../dom.js";
import * as f from "../format.js";
import * as link from "../link.js";
import { learn, name, remember, shortName } from "../names.js";
import { card, check, dialog, failure, jobProgress, noteList, select, sentence, table, viewHead } from "../ui/parts.js";
import { cellCard, provenanceWords, rankingCard } from "./transfer-pair.js";

const ORDERS = { family: "family", script: "script", name: "name", given: "the matrix's own", gives: "who helps most" };

export async function show(root, params) {
  const state = {
    matrix: params.get("m") ?? "published", order: params.get("by") in ORDERS ? params.get("by") : "family",
    target: params.get("t"), source: params.get("s"), language: params.get("l"), side: params.get("side") === "gives" ? "gives" : "gets", measured: params.has("measured"),
  };
  let { matrices, can_measure: canMeasure } = await get("/api/transfer/matrices");
  if (!matrices.some((one) => one.id === state.matrix)) state.matrix = "published";
  const tools = h("div", { class: "row" });
  const work = h("div", { class: "stack" });
  const picture = h("div");
  const details = h("div", { class: "stack" });
  const said = h("div");
  let map = null;
  let matrix = null;

  const write = () => link.write("transfer", link.params({ m: state.matrix === "published" ? null : state.matrix, by: state.order === "family" ? null : state.order, t: state.target, s: state.source, l: state.language, side: state.side === "gives" ? "gives" : null, measured: state.measured }));

  async function load() {
    map?.stop();
    put(picture, h("p", { class: "loading", role: "status" }, "Loading the matrix…"));
    put(said);
    try {
      matrix = await get(`/api/transfer/matrices/${encodeURIComponent(state.matrix)}`);
    } catch (error) {
      return put(picture, failure(error));
    }
    remember(matrix.languages);
    map = heatMap({ matrix, label: shortName, describe, onPick: (target, source) => pair(target, source) });
    const parts = Object.entries(matrix.counts).map(([kind, n]) => `${n.toLocaleString("en")} ${provenanceWords(kind)}`);
    put(picture, card("Matrix", { note: `${matrix.targets.length} targets by ${matrix.sources.length} sources: ${f.listed(parts)}`, tools: [
      h("button", { type: "button", class: "icon-button", "aria-label": "Zoom out", on: { click: () => map.zoom(1 / 1.4) } }, "−"),
      h("button", { type: "button", class: "icon-button", "aria-label": "Zoom in", on: { click: () => map.zoom(1.4) } }, "+"),
      h("button", { type: "button", class: "button", on: { click: () => map.whole() } }, "Whole"),
    ] },
    heatKeys(map.range), map.element,
    h("p", { class: "hint" }, "Choose a cell for its details. Pinch, or hold Ctrl and scroll, to zoom; drag to move. With the keyboard: arrows, Enter, + and −.")));
    arrange();
    map.measuredOnly(state.measured);
    const known = (code) => matrix.targets.includes(code) || matrix.sources.includes(code);
    if (state.target && state.source && matrix.targets.includes(state.target) && matrix.sources.includes(state.source)) await pair(state.target, state.source, false);
    else if (!state.language || !known(state.language)) state.language = matrix.targets.includes("cat_Latn") ? "cat_Latn" : matrix.targets[0];
    await ranking();
    drawTools();
  }

  function describe(i, j) {
    const [target, source] = [matrix.targets[i], matrix.sources[j]];
    if (target === source) return `${name(target)} with itself`;
    const kind = matrix.provenance[i][j];
    if (kind === "missing") return `${name(source)} to ${name(target)}\nnot known`;
    return `${name(source)} to ${name(target)}\n${scoreWords(matrix, i, j)}, ${provenanceWords(kind)}${matrix.early[i][j] ? ", early" : ""}`;
  }

  function arrange() {
    const rows = sorted(matrix, matrix.targets, state.order, true);
    const columns = sorted(matrix, matrix.sources, state.order, false);
    const grouped = state.order === "family" || state.order === "script";
    map.order(rows, columns, grouped ? groups(rows.map((i) => matrix.targets[i]), matrix, state.order) : [], grouped ? groups(columns.map((j) => matrix.sources[j]), matrix, state.order) : []);
  }

  async function pair(target, source, follow = true) {
    Object.assign(state, { target, source });
    if (target !== source) state.language = target;
    map.select(target, source);
    write();
    if (target === source) return put(pairPlace);
    try {
      put(pairPlace, cellCard(await get("/api/transfer/cell", { matrix: state.matrix, target, source }), matrix, (t, s) => pair(t, s)));
      if (follow) await ranking();
    } catch (error) {
      put(pairPlace, failure(error));
    }
  }

  async function ranking() {
    write();
    put(rankPlace, await rankingCard(state, matrix, (change) => {
      Object.assign(state, change);
      ranking();
    }, (t, s) => pair(t, s)));
  }

  async function follow(title, task, then) {
    const progress = jobProgress(title, () => job.cancel());
    const job = runJob(task, (view) => progress.show(view));
    put(work, progress.element);
    try {
      const result = await job.result;
      put(work);
      if (result) await then(result);
      else toast("cancelled");
    } catch (error) {
      put(work, failure(error));
    }
  }

  async function newMatrix(id) {
    ({ matrices } = await get("/api/transfer/matrices"));
    state.matrix = id ?? matrices.filter((one) => !one.saved).at(-1)?.id ?? state.matrix;
    Object.assign(state, { target: null, source: null, language: null });
    await load();
  }

  function drawTools() {
    const current = matrices.find((one) => one.id === state.matrix);
    put(tools,
      select("Scores", matrices.map((one) => [one.id, `${one.title}${one.id === "published" ? "" : `, ${one.n_targets} × ${one.n_sources}`}${one.saved ? "" : " (not saved)"}`]), state.matrix, (v) => {
        Object.assign(state, { matrix: v, target: null, source: null, language: null });
        put(pairPlace);
        load();
      }),
      select("Order by", Object.entries(ORDERS), state.order, (v) => {
        state.order = v;
        arrange();
        write();
      }),
      check("From runs only", state.measured, (on) => {
        state.measured = on;
        map.measuredOnly(on);
        ranking();
      }),
      h("div", { class: "row tool-buttons" },
        canMeasure ? h("button", { type: "button", class: "button", on: { click: () => follow("Measuring every pair of your runs", { kind: "matrix" }, async (result) => {
          await newMatrix();
          put(said, card("What the runs allow", noteList([...result.problems, ...result.warnings]) ?? h("p", null, "Every pair was measured.")));
        }) } }, "Measure on my runs") : null,
        h("button", { type: "button", class: "button", on: { click: () => follow("Estimating the pairs that nobody measured", { kind: "complete", matrix: state.matrix }, async (result) => {
          await newMatrix(result.id);
          put(said, card("What the estimates rest on", { note: `${result.n_measured} scores from runs, ${result.n_estimated} estimated, with ${f.percent(result.level)} intervals` }, noteList(result.warnings)));
        }) } }, "Estimate the rest"),
        h("button", { type: "button", class: "button", on: { click: () => follow("Testing by permutation", { kind: "analyze", matrix: state.matrix, measured_only: state.measured }, (result) => put(said, analysisCard(result))) } }, "What does it say?"),
        current && !current.saved ? h("button", { type: "button", class: "button primary", on: { click: () => saveDialog() } }, "Save matrix") : null));
  }

  function saveDialog() {
    const input = h("input", { type: "text", value: state.matrix, "aria-label": "Name of the matrix", maxlength: 80 });
    const problem = h("div");
    const box = dialog("Save this matrix", h("form", { class: "stack", on: { submit: async (event) => {
      event.preventDefault();
      try {
        const saved = await post(`/api/transfer/matrices/${encodeURIComponent(state.matrix)}/save`, { name: input.value.trim() });
        box.close();
        toast(`saved as ${saved.id}`);
        await newMatrix(saved.id);
      } catch (error) {
        put(problem, failure(error));
      }
    } } }, input, problem, h("div", { class: "row" }, h("button", { class: "button primary" }, "Save"))));
  }

  const pairPlace = h("div");
  const rankPlace = h("div");
  put(details, pairPlace, rankPlace);
  root.append(
    viewHead("Transfer", "Which languages help which when trained together. The bilingual transfer score (BTS) is 0 where a source does nothing, +1 where its token is worth a token of the target, below 0 where it harms."),
    h("div", { class: "card tools" }, tools), work, said,
    h("div", { class: "transfer-split" }, picture, details));
  drawTools();
  await learn([]);
  load();
  return () => map?.stop();
}

/** The score of a cell in words. */
function scoreWords(matrix, i, j) {
  const value = matrix.values[i][j];
  const [low, high] = [matrix.lower[i][j], matrix.upper[i][j]];
  if (value === null) return high !== null && high < 2 ? `below ${f.signed(high)}` : `above ${f.signed(low)}`;
  if (low !== null && high !== null) {
    const decimals = f.decimalsFor(high - low, 2);
    return `${f.signed(value, decimals)} (${f.signed(low, decimals)} to ${f.signed(high, decimals)})`;
  }
  return f.signed(value, 1);
}

function sorted(matrix, codes, order, isRow) {
  const info = new Map(matrix.languages.map((one) => [one.code, one]));
  const index = codes.map((_, i) => i);
  const text = (...keys) => (a, b) => {
    for (const key of keys) {
      const [x, y] = [key(info.get(codes[a])), key(info.get(codes[b]))];
      if (x !== y) return x < y ? -1 : 1;
    }
    return 0;
  };
  if (order === "family") return index.sort(text((o) => o.family || "~", (o) => o.branch, (o) => o.name));
  if (order === "script") return index.sort(text((o) => o.script, (o) => o.family, (o) => o.branch, (o) => o.name));
  if (order === "name") return index.sort(text((o) => o.name));
  if (order === "gives") {
    const mean = (i) => {
      const values = (isRow ? matrix.values[i] : matrix.values.map((row) => row[i])).filter((v) => v !== null);
      return values.length ? values.reduce((a, b) => a + b, 0) / values.length : -9;
    };
    return index.sort((a, b) => mean(b) - mean(a));
  }
  return index;
}

function groups(codes, matrix, order) {
  const info = new Map(matrix.languages.map((one) => [one.code, one]));
  const found = [];
  codes.forEach((code, i) => {
    const one = info.get(code);
    const title = order === "script" ? one.script : one.branch || one.family || "other";
    if (found.at(-1)?.name === title) found.at(-1).to = i + 1;
    else found.push({ name: title, from: i, to: i + 1 });
  });
  return found;
}

function analysisCard(result) {
  const p = (value) => (value === null ? "not known" : value < 0.001 ? "< 0.001" : f.digits(value, 2));
  const { symmetry } = result;
  return card("What the matrix says", { note: "mean scores of pairs that share something, and of pairs that do not; p by relabelling languages" },
    result.effects.length ? table([
      { title: "sharing", cell: (r) => r.relation },
      { title: "among", cell: (r) => r.among ?? "all pairs" },
      { title: "same", right: true, cell: (r) => [f.signed(r.mean_same), h("span", { class: "sub" }, f.counted(r.n_same, "pair"))] },
      { title: "different", right: true, cell: (r) => [f.signed(r.mean_different), h("span", { class: "sub" }, f.counted(r.n_different, "pair"))] },
      { title: "difference", right: true, cell: (r) => [f.signed(r.difference.value), r.difference.interval ? h("span", { class: "sub" }, `${f.signed(r.difference.interval[0])} to ${f.signed(r.difference.interval[1])}`) : null] },
      { title: "p", right: true, cell: (r) => p(r.p_value) },
    ], result.effects, { label: "Effects of shared script and family" }) : h("p", { class: "muted" }, "Too few pairs to compare."),
    symmetry ? h("p", { class: "small rests" }, `Symmetry over ${f.counted(symmetry.n_pairs ?? 0, "pair")}: how far a score says something of the other way round.`) : null,
    noteList(result.warnings),
    h("p", { class: "muted small rests" }, sentence(`Rests on: ${result.source}`)));
}
