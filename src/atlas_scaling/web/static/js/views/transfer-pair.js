// One pair of a matrix, and the ranking of a language.

import { get } from "../api.js";
import { plot } from "../charts/plot.js";
import { dotRows } from "../charts/rows.js";
import { h } from "../dom.js";
import * as f from "../format.js";
import { entry, name, shortName } from "../names.js";
import { badge, card, choice, failure, noteList, numbers, select, sentence } from "../ui/parts.js";

const KINDS = {
  measured: ["told", "measured on runs"], censored: ["weak", "a bound from runs"], published: ["told", "published, from runs"],
  estimated: ["weak", "estimated by a model"], missing: ["idle", "not known"],
};

export const provenanceWords = (kind) => KINDS[kind]?.[1] ?? kind;

/** `+0.4`, `below −1.0`, with what is known of its error. */
function cellScore(cell, rounding) {
  if (cell.bts === null) {
    if (cell.upper !== null && cell.upper < 2) return { text: `below ${f.signed(cell.upper)}`, error: "the loss was never reached: how far below is not known" };
    return cell.lower === null ? { text: "not known", error: null } : { text: `above ${f.signed(cell.lower)}`, error: "reached before the first evaluation" };
  }
  if (cell.lower !== null && cell.upper !== null) {
    const decimals = f.decimalsFor(cell.upper - cell.lower, 2);
    return { text: f.signed(cell.bts, decimals), error: `${f.signed(cell.lower, decimals)} to ${f.signed(cell.upper, decimals)}` };
  }
  return {
    text: f.signed(cell.bts, rounding ? 1 : 2),
    error: rounding ? `printed to one decimal, so ${f.signed(rounding[0])} to ${f.signed(rounding[1])}; how far from the truth was not published` : "no interval is known",
  };
}

export function cellCard(view, matrix, go) {
  const { cell, mirror, origin, curve } = view;
  const score = cellScore(cell, view.rounding);
  const [kind, words] = KINDS[cell.provenance];
  const [one, other] = [entry(cell.target), entry(cell.source)];
  const shared = [one?.script && one.script === other?.script ? `the script (${one.script})` : null, one?.branch && one.branch === other?.branch ? `the branch (${one.branch})` : one?.family && one.family === other?.family ? `the family (${one.family})` : null].filter(Boolean);
  return card(`${name(cell.source)} to ${name(cell.target)}`, {},
    h("dl", { class: "figures pair-figures" },
      h("div", { class: "figure" }, h("dt", null, "Transfer score"), h("dd", null, h("span", { class: "big" }, score.text), score.error ? h("span", { class: "sub" }, score.error) : null)),
      h("div", { class: "figure" }, h("dt", null, "A source token is worth"), h("dd", null, h("span", { class: "big" }, view.tau === null ? "not known" : f.digits(view.tau, 2)), h("span", { class: "sub" }, view.tau === null ? null : "target tokens (τ), capacity ignored")))),
    h("dl", { class: "facts" },
      fact("Known how", badge(kind, words), cell.early ? " early: positive scores may yet turn" : null),
      fact("From", origin ? origin.name : "nothing"),
      origin?.d ? fact("Taken at", `${f.count(origin.d)} ${origin.unit} of the target alone${origin.n_params ? `, ${f.count(origin.n_params)} parameters` : ""}`) : null,
      fact("They share", shared.length ? f.listed(shared) : "neither script nor family"),
      mirror && mirror.provenance !== "missing" ? fact("The other way", h("button", { type: "button", class: "link-button", on: { click: () => go(cell.source, cell.target) } }, cellScore(mirror).text), `, ${provenanceWords(mirror.provenance)}`) : null),
    curve ? curvePlot(curve) : h("p", { class: "hint" }, cell.provenance === "measured" || cell.provenance === "censored" ? sentence(view.note ?? "There is no curve") : "The curve over tokens is shown where this session has the runs behind a score."),
    curve ? noteList(curve.warnings) : null);
}

const fact = (term, ...words) => h("div", null, h("dt", null, term), h("dd", null, words));

function curvePlot(curve) {
  const value = (p) => p.bts ?? (p.upper !== null && p.upper < 2 ? p.upper : p.lower);
  const say = (p) => `d = ${f.count(p.tokens)}: ${cellScore(p).text}${p.bts !== null && p.lower !== null && p.upper !== null ? ` (${f.signed(p.lower)} to ${f.signed(p.upper)})` : ""}${p.early ? "\nearly" : ""}${p.censored ? "\nbound only" : ""}`;
  const points = curve.curve.filter((p) => value(p) !== null).map((p) => ({ x: p.tokens, y: value(p), hollow: p.early || Boolean(p.censored), shape: p.censored ? (p.bts === null && p.upper !== null && p.upper < 2 ? "down" : "up") : "circle", tip: say(p) }));
  const band = curve.curve.filter((p) => p.bts !== null && p.lower !== null && p.upper !== null).map((p) => ({ x: p.tokens, low: p.lower, high: p.upper }));
  return h("div", null,
    h("h3", null, "Over the tokens it is taken at"),
    plot({
      label: `Score over tokens: ${points.map((p) => p.tip.replaceAll("\n", ", ")).join("; ")}`, height: 240,
      x: { scale: "log", title: `d, ${curve.unit} of the target alone`, format: (v) => f.count(v) }, y: { scale: "linear", title: "BTS" },
      series: [{ index: 0, points, band }], rules: [{ x: curve.at.tokens, text: "here" }],
    }),
    h("p", { class: "hint" }, "Hollow circles are early, triangles are bounds. Near the left every pair starts near +1, related or not."),
    numbers(`bts-${curve.sources[0]}-${curve.target}`, [
      { title: "d", cell: (p) => f.count(p.tokens), value: (p) => p.tokens }, { title: "BTS", right: true, cell: (p) => cellScore(p).text, value: (p) => p.bts },
      { title: "from", right: true, cell: (p) => (p.lower === null ? "–" : f.signed(p.lower)), value: (p) => p.lower }, { title: "to", right: true, cell: (p) => (p.upper === null ? "–" : f.signed(p.upper)), value: (p) => p.upper },
      { title: "", cell: (p) => [p.early ? "early " : "", p.censored ? "bound" : ""].join("") },
    ], curve.curve));
}

/** Who helps a language, or whom it helps. */
export async function rankingCard(state, matrix, change, go) {
  const codes = [...new Set([...matrix.targets, ...matrix.sources])].toSorted((a, b) => (name(a) < name(b) ? -1 : 1));
  const gets = state.side === "gets";
  const head = [
    select("Language", codes.map((code) => [code, `${name(code)} (${code})`]), state.language, (v) => change({ language: v })),
    choice("Show", [["gets", "What helps it"], ["gives", "What it helps"]], state.side, (v) => change({ side: v }), { hidden: true }),
  ];
  let body;
  try {
    const answer = gets
      ? await get("/api/transfer/sources", { matrix: state.matrix, target: state.language, measured_only: state.measured })
      : await get("/api/transfer/targets", { matrix: state.matrix, source: state.language, measured_only: state.measured });
    const all = gets ? answer.sources : answer.targets;
    body = [ranked(all, state, gets, go), noteList(answer.warnings, 3), h("p", { class: "muted small rests" }, "From ", answer.source, ".")];
  } catch (error) {
    body = [failure(error)];
  }
  return card(gets ? `What helps ${shortName(state.language)}` : `What ${shortName(state.language)} helps`, {}, h("div", { class: "stack" }, head, body));
}

function ranked(all, state, gets, go) {
  const first = all.slice(0, 10);
  const value = (r) => r.bts ?? (r.interval?.[1] !== null && r.interval?.[1] < 2 ? r.interval?.[1] : r.interval?.[0]) ?? null;
  const asCell = (r) => ({ bts: r.bts, lower: r.interval?.[0] ?? null, upper: r.interval?.[1] ?? null });
  const open = (r) => (gets ? go(state.language, r.language) : go(r.language, state.language));
  const rows = first.map((r) => ({
    label: shortName(r.language),
    marks: [{ value: value(r), interval: r.bts === null ? null : r.interval, index: 0, hollow: r.provenance === "estimated", shape: r.bts === null ? (r.interval?.[1] !== null && r.interval?.[1] < 2 ? "down" : "up") : "circle", tip: `${name(r.language)}: ${cellScore(asCell(r), r.rounding).text}, ${provenanceWords(r.provenance)}${r.tau === null ? "" : `\na token is worth ${f.digits(r.tau, 2)}`}`, pick: () => open(r) }],
  }));
  return h("div", null,
    dotRows({ rows, series: [{ name: "from runs", index: 0, shape: "circle" }, { name: "estimated", index: 0, shape: "circle", hollow: true }], title: "BTS", zero: true, height: 26, label: rows.map((row) => row.marks[0].tip).join("; ") }),
    numbers(`${gets ? "sources-of" : "targets-of"}-${state.language}`, [
      { title: "rank", cell: (r) => r.rank }, { title: "language", cell: (r) => h("button", { type: "button", class: "link-button", on: { click: () => open(r) } }, name(r.language)), value: (r) => r.language },
      { title: "BTS", right: true, cell: (r) => cellScore(asCell(r), r.rounding).text, value: (r) => r.bts }, { title: "τ", right: true, cell: (r) => (r.tau === null ? "–" : f.digits(r.tau, 2)), value: (r) => r.tau },
      { title: "known how", cell: (r) => provenanceWords(r.provenance), value: (r) => r.provenance },
    ], all));
}
