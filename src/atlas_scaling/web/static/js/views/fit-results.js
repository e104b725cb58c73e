// A fit with its verdicts, and laws side by side on held-out rows.

import { get, post } from "../api.js";
import { plot } from "../charts/plot.js";
import { h, put, toast } from "../dom.js";
import * as f from "../format.js";
import { name, shortName } from "../names.js";
import { badge, card, dialog, failure, noteList, numbers, table } from "../ui/parts.js";
import { unitWords } from "./plan.js";
import { STATUS } from "./plan-question.js";

const verdictKind = (verdict) => (verdict.startsWith("identified") ? "told" : verdict.startsWith("weak") ? "weak" : verdict.startsWith("given") ? "idle" : "untold");
const VERDICTS = { told: "told", weak: "weakly told", untold: "not told", idle: "given" };

/** Several fits: a line each, and one of them opened. */
export function fitsCard(made, files, onSaved) {
  const place = h("div");
  const open = (one) => put(place, fitCard(one, files.find((file) => file.id === one.id), onSaved));
  const good = made.filter((one) => one.fit);
  if (good.length) open(good[0]);
  const title = (one) => `${one.law}${one.target ? `, ${name(one.target)}` : ""}`;
  const told = (fit) => `${Object.values(fit.parameters).filter((p) => p.value !== null).length} of ${Object.keys(fit.parameters).length}`;
  if (made.length === 1) return good.length ? place : card(title(made[0]), failure({ document: made[0].error }));
  return h("div", { class: "answer" },
    card(`${f.counted(made.length, "fit")}`, { note: "choose one to open it below" }, table([
      { title: "law and language", cell: (one) => (one.fit ? h("button", { type: "button", class: "link-button", on: { click: () => open(one) } }, title(one)) : title(one)) },
      { title: "verdict", cell: (one) => (one.fit ? badge(...STATUS[one.fit.status]) : [badge("untold", "not fitted"), h("span", { class: "sub" }, one.error.problem)]) },
      { title: "parameters told", right: true, cell: (one) => (one.fit ? told(one.fit) : "–") },
      { title: "rows", right: true, cell: (one) => (one.fit ? one.fit.n_rows.toLocaleString("en") : "–") },
      { title: "mean error", right: true, cell: (one) => (one.fit ? f.digits(one.fit.diagnostics.mean_error, 2) : "–") },
    ], made, { label: "Fits that were made" })),
    place);
}

/** What several targets share, and what sharing costs. */
export function pooledCard(pooled, level) {
  const rise = pooled.objective / pooled.separate_objective - 1;
  return card(`${pooled.law.replace(" shared", "")}, shared by ${f.counted(pooled.targets.length, "language")}`, { note: `${f.counted(pooled.n_rows, "row")} of ${f.counted(pooled.n_runs, "run")}; the other parameters are each language's own` },
    parameterTable(Object.entries(pooled.shared), level, "Shared parameters"),
    h("p", { class: "hint" }, `Sharing raises the sum that is minimised from ${f.digits(pooled.separate_objective, 4)} to ${f.digits(pooled.objective, 4)}, by ${f.percent(rise)}: how far the languages disagree about what they share.`));
}

function parameterTable(parameters, level, label) {
  return table([
    { title: "parameter", cell: ([key]) => h("span", { title: key }, f.parameter(key, shortName)) },
    { title: "value", right: true, cell: ([, p]) => (p.value === null ? h("span", { class: "muted" }, "not told") : shownParameter(p).value) },
    { title: `${f.percent(level)} interval`, right: true, cell: ([, p]) => shownParameter(p).interval ?? h("span", { class: "muted" }, "none") },
    { title: "verdict", cell: ([, p]) => [badge(verdictKind(p.verdict), VERDICTS[verdictKind(p.verdict)]), p.verdict.includes(":") ? h("span", { class: "sub" }, p.verdict.split(":").slice(1).join(":").trim()) : null] },
  ], parameters, { label });
}

/** One fit: status, parameters, measured against predicted, and a way to keep it. */
export function fitCard(one, file, onSaved) {
  const { fit } = one;
  const [kind, status] = STATUS[fit.status] ?? ["idle", fit.status];
  const points = h("div", null, h("p", { class: "muted small" }, "Drawing…"));
  drawPoints(one.id, points);
  const d = fit.diagnostics;
  const told = Object.values(fit.parameters).filter((p) => p.value !== null).length;
  const tools = [
    file && !file.saved ? h("button", { type: "button", class: "button primary", on: { click: () => saveDialog(one.id, onSaved) } }, "Save fit") : badge("told", "saved"),
    useLink(fit, encodeURIComponent(one.id)),
  ];
  const parameters = Object.entries(fit.parameters);
  return card(`${fit.law}${fit.law_options?.variant ? ` ${fit.law_options.variant}` : ""}${fit.target ? `, ${name(fit.target)}` : ""}`, { note: `${f.counted(fit.n_rows, "row")} of ${f.counted(fit.n_runs, "run")}, losses in ${unitWords(fit.loss_unit)}`, tools },
    h("p", { class: "verdict-line" }, badge(kind, status), ` ${told} of ${parameters.length} parameters can be told from these runs; ${d.r2 === null ? "" : `R² ${Math.floor(d.r2 * 1e4) / 1e4} on the rows that were fitted, `}mean error ${f.digits(d.mean_error, 2)}${d.mean_error_reducible_percent === null ? "" : ` (${f.digits(d.mean_error_reducible_percent, 2)} % of the reducible loss)`}.`),
    h("p", { class: "formula" }, fit.formula),
    h("div", { class: "fit-split" },
      h("div", null, parameterTable(parameters, fit.level, `Parameters of ${fit.law}`)),
      points),
    h("details", { class: "numbers" }, h("summary", null, "How it was fitted"), h("dl", { class: "facts" },
      fact("Minimised", `${fit.estimator.name}${fit.estimator.name === "huber" ? `, δ = ${fit.estimator.delta}` : ""}, on the log residual, summed: ${f.digits(fit.objective, 6)}`),
      fact("Starts", `${f.percent(d.share_at_optimum)} of ${f.counted(d.n_descended, "descent")} ended here`), fact("Ranges", Object.entries(d.spread).map(([key, value]) => `${key} ${f.digits(value, 2)}×`).join(", ")),
      fact("Intervals", d.resample ? `refits to resampled ${d.resample === "run" ? "runs" : d.resample}, seed ${fit.seed}` : "none were asked for"), fact("Law", fit.source)),
    noteList(fit.notes)),
    fit.warnings.length ? h("details", { class: "numbers", open: fit.warnings.length < 4 }, h("summary", null, f.counted(fit.warnings.length, "warning")), noteList(fit.warnings)) : null);
}

const fact = (term, text) => h("div", null, h("dt", null, term), h("dd", null, text));

/** To the view that this fit answers. */
function useLink(fit, id) {
  if (fit.law === "capacity") return h("a", { class: "button", href: `#/expand?fit=${id}` }, "Expand with it");
  if (fit.law === "atlas_two_stage") return h("a", { class: "button", href: `#/stages?fit=${id}` }, "Stages by it");
  return fit.target ? h("a", { class: "button", href: `#/plan?t=${fit.target}&fit=${id}&C=1e18` }, "Plan with it") : null;
}

/** Value and interval with as many digits as the interval vouches for. */
function shownParameter(p) {
  const ends = [p.value, ...(p.interval ?? [])].filter((v) => v !== null).map(Math.abs);
  const plain = p.interval && Math.max(...ends) < 1e5 && p.interval[1] - p.interval[0] >= 1e-4;
  if (plain) {
    const decimals = f.decimalsFor(p.interval[1] - p.interval[0], 5);
    return { value: p.value === null ? null : f.fixed(p.value, decimals), interval: `${f.fixed(p.interval[0], decimals)} to ${f.fixed(p.interval[1], decimals)}` };
  }
  return { value: p.value === null ? null : f.digits(p.value, p.interval ? 4 : 3), interval: p.interval ? `${f.digits(p.interval[0], 2)} to ${f.digits(p.interval[1], 2)}` : null };
}

async function drawPoints(id, place) {
  try {
    const points = await get(`/api/fits/${encodeURIComponent(id)}/points`);
    const say = (i) => `${points.run[i]}\nmeasured ${f.fixed(points.loss[i], 3)}, by the law ${f.fixed(points.predicted[i], 3)}`;
    const [low, high] = [Math.min(...points.loss, ...points.predicted), Math.max(...points.loss, ...points.predicted)];
    const shown = points.loss.map((_, i) => i).filter((i) => points.loss.length <= 600 || i % Math.ceil(points.loss.length / 600) === 0);
    put(place, h("h3", null, "Measured against fitted"),
      plot({
        label: `Measured losses against those of the law, ${points.n_rows} rows; on the line they agree`, height: 300,
        x: { scale: "log", title: "by the law", domain: [low * 0.99, high * 1.01], format: (v) => f.digits(v, 3) }, y: { scale: "log", title: "measured", domain: [low * 0.99, high * 1.01], format: (v) => f.digits(v, 3) },
        series: [{ index: 5, dots: false, dash: "3 3", points: [{ x: low, y: low }, { x: high, y: high }] }, { index: 0, line: false, radius: 3, points: shown.map((i) => ({ x: points.predicted[i], y: points.loss[i], tip: say(i) })) }],
      }),
      numbers(`fit-${id}`, [{ title: "run", cell: (i) => points.run[i] }, { title: "measured", right: true, cell: (i) => f.fixed(points.loss[i], 3), value: (i) => points.loss[i] }, { title: "by the law", right: true, cell: (i) => f.fixed(points.predicted[i], 3), value: (i) => points.predicted[i] }], shown));
  } catch (error) {
    put(place, failure(error));
  }
}

function saveDialog(id, onSaved) {
  const input = h("input", { type: "text", value: id, maxlength: 80, "aria-label": "Name of the fit" });
  const problem = h("div");
  const box = dialog("Save this fit", h("form", { class: "stack", on: { submit: async (event) => {
    event.preventDefault();
    try {
      const saved = await post(`/api/fits/${encodeURIComponent(id)}/save`, { name: input.value.trim() });
      box.close();
      toast(`saved: ${saved.path}`);
      await onSaved?.();
    } catch (error) {
      put(problem, failure(error));
    }
  } } }, h("p", { class: "hint" }, "Two files: NAME.json for people and programs, NAME.npz for its arrays. Nothing is overwritten."), input, problem, h("div", { class: "row" }, h("button", { class: "button primary" }, "Save"))));
  input.select();
}

/** Table 1 of the paper on these runs. */
export function comparisonCard(result, onCopy) {
  const cuts = [["r2", "random 20 %"], ["r2_n", "largest N"], ["r2_d", "most tokens"], ["r2_c", "most compute"], ["r2_m", "mixtures"]];
  const best = Object.fromEntries(cuts.map(([key]) => [key, Math.max(...result.rows.map((row) => row[key] ?? -Infinity))]));
  const cell = (key) => (row) => {
    const value = row[key];
    if (value === null) return h("span", { class: "muted" }, "–");
    const text = value > 0.9995 ? "0.999" : f.fixed(Math.floor(value * 1e3) / 1e3, 3);
    return value === best[key] ? h("strong", null, text) : text;
  };
  const title = (row) => `${row.law}${row.variant ? `, ${row.variant}` : ""}`;
  return card("Laws on held-out rows", { note: `R² on rows that were not fitted; mean over ${f.listed(result.targets.filter(Boolean).map(shortName)) || "the table"}, ${f.counted(result.n_rows, "row")} in all. Below 0 is worse than the rows' own mean.`, tools: h("button", { type: "button", class: "button", on: { click: onCopy } }, "Copy as…") },
    table([
      { title: "law", cell: (row) => [title(row), row.failures.length ? h("span", { class: "sub" }, row.failures[0]) : null], value: title },
      { title: "parameters", right: true, cell: (row) => row.n_parameters ?? "–" },
      ...cuts.map(([key, text]) => ({ title: text, right: true, cell: cell(key), value: (row) => row[key] })),
      { title: "error", right: true, cell: (row) => (row.errors.r2 === null ? "–" : f.digits(row.errors.r2, 2)), value: (row) => row.errors.r2 },
      { title: "of reducible", right: true, cell: (row) => (row.errors_reducible_percent.r2 === null ? "–" : `${f.digits(row.errors_reducible_percent.r2, 2)} %`) },
    ], result.rows, { label: "Laws on held-out rows" }),
    h("p", { class: "hint rests" }, Object.entries(result.cuts).filter(([, said]) => said.includes("not made")).map(([key, said]) => `${cuts.find(([one]) => one === key)?.[1] ?? key}: ${said}. `)),
    noteList([...result.notes, ...result.warnings]),
    h("p", { class: "muted small rests" }, result.source, "."));
}
