// Start: from scratch, or from a multilingual checkpoint; by /api/plan/start.

import { get, latest, post } from "../api.js";
import { plot } from "../charts/plot.js";
import { dotRows } from "../charts/rows.js";
import { h, put } from "../dom.js";
import * as f from "../format.js";
import * as link from "../link.js";
import { learn, name, shortName } from "../names.js";
import { countField } from "../ui/count.js";
import { languagePicker } from "../ui/languages.js";
import { card, failure, figure, fineprint, numbers, select, viewHead } from "../ui/parts.js";
import { codeDialog } from "./expand.js";

const ADVICE = { scratch: "Train from scratch", continue: "Continue from a checkpoint", undecided: "Undecided" };
const SHORT = {
  "text of the law": "law, text", "legend of the law": "law, legend",
  "Fig. 6, moved to N by the text": "Fig. 6, text", "Fig. 6, moved to N by the legend": "Fig. 6, legend",
};
const EVIDENCE = {
  published: "published crossovers", measured: "measured on your runs", extrapolated: "your runs, carried on by a law",
  fitted: "your crossovers, fitted", censored: "only a bound is known",
};

export async function show(root, params, about) {
  const state = {
    language: params.get("l") ?? "vie_Latn", n_params: link.number(params, "N") ?? 2e9, tokens: link.number(params, "D") ?? 100e9,
    share: link.number(params, "share") ?? 1, unique_tokens: link.number(params, "U"), scratch: params.get("scratch"), continued: params.get("continued"),
  };
  const runs = about.has_runs ? (await get("/api/runs", { limit: 500, sort: "run_id" })).runs : [];
  await learn([state.language]);
  const body = h("div", { class: "answer" });
  let request = null;
  const solve = latest(async () => {
    const own = state.scratch && state.continued;
    request = { language: state.language, tokens: state.tokens, share: state.share, unique_tokens: state.unique_tokens, n_params: own ? null : state.n_params, ...(own ? { scratch: state.scratch, continued: state.continued } : {}) };
    try {
      const answer = await post("/api/plan/start", request);
      const curves = own ? (await get("/api/runs/curves", { run: [state.scratch, state.continued], language: answer.language })).curves : [];
      put(body, headline(answer), h("div", { class: "columns" }, curves.length ? curvesCard(curves, answer) : await sizesCard(state), readingsCard(answer)), fineprint(answer));
    } catch (error) {
      put(body, failure(error));
    }
  });
  const changed = () => {
    link.write("start", link.params({ l: state.language, N: state.n_params, D: state.tokens, share: state.share === 1 ? null : state.share, U: state.unique_tokens, scratch: state.scratch, continued: state.continued }));
    solve();
  };
  const set = (key) => (value) => {
    state[key] = value;
    changed();
  };
  const chosen = h("p", { class: "chosen" });
  const drawChosen = () => put(chosen, h("strong", null, name(state.language)), " ", h("code", null, state.language));
  const picker = languagePicker({ label: "Language", chosen: () => [], onPick: (one) => { state.language = one.code; drawChosen(); changed(); } });
  drawChosen();
  const question = h("form", { class: "card question stack", "aria-label": "The question", on: { submit: (e) => e.preventDefault() } },
    picker.element, chosen,
    countField({ label: "Parameters", value: state.n_params, min: 1e6, max: 1e11, onInput: set("n_params") }).element,
    countField({ label: "Training tokens of the run", value: state.tokens, min: 1e7, max: 1e13, onInput: set("tokens") }).element,
    countField({ label: "Share of the language in them", value: state.share, min: 0.01, max: 1, words: (v) => f.percent(v).replace(/\u00a0%/, " %"), onInput: (v) => set("share")(v === null ? 1 : Math.min(1, v > 1 ? v / 100 : v)) }).element,
    countField({ label: "Distinct tokens of it that there are", value: state.unique_tokens, optional: true, slider: false, placeholder: "not known", onInput: set("unique_tokens") }).element,
    runs.length ? ownRuns(runs, state, changed) : h("p", { class: "hint" }, "With two runs of your own, from scratch and continued, the crossing of their curves is measured: ", h("code", null, "atlas serve RUNS")));
  root.append(
    viewHead("Start", "Train a language from scratch, or continue from a multilingual checkpoint? Before the crossover continuing is ahead, after it scratch is.",
      h("button", { type: "button", class: "button", on: { click: () => codeDialog("start", request) } }, "Copy as…")),
    h("div", { class: "split" }, question, body));
  changed();
}

function ownRuns(runs, state, changed) {
  const has = (run) => run.mixture[state.language] > 0;
  const option = (run) => [run.run_id, run.run_id];
  const scratch = [["", "none: published crossovers"], ...runs.filter((run) => !run.base_run && has(run)).map(option)];
  const continued = [["", "none"], ...runs.filter((run) => run.base_run && has(run)).map(option)];
  if (continued.length < 2) return h("p", { class: "hint" }, `No run of this session continues a checkpoint on ${name(state.language)}, so the published crossovers answer.`);
  return h("details", { open: Boolean(state.scratch) }, h("summary", null, "Use your own two curves"), h("div", { class: "stack" },
    select("From scratch", scratch, state.scratch ?? "", (v) => { state.scratch = v || null; changed(); }),
    select("Continued", continued, state.continued ?? "", (v) => { state.continued = v || null; changed(); })));
}

function headline(answer) {
  const at = answer.crossover_tokens;
  const range = answer.likely_range;
  const ends = range ? [range[0] > 0 ? f.count(range[0], 2) : null, range[1] === null ? null : f.count(range[1], 2)] : null;
  const words = !ends ? null : ends[0] && ends[1] ? `${ends[0]} to ${ends[1]}` : ends[0] ? `over ${ends[0]}` : `up to ${ends[1]}`;
  const probability = answer.probability_scratch_better;
  return h("section", { class: "card", "aria-label": "The advice" },
    h("h2", { class: "lead-sentence" }, ADVICE[answer.recommendation], h("span", { class: "muted" }, {
      scratch: `: ${f.count(answer.tokens)} tokens of ${shortName(answer.language)} are beyond the crossover.`,
      continue: `: ${f.count(answer.tokens)} tokens of ${shortName(answer.language)} are before the crossover.`,
      undecided: `: ${f.count(answer.tokens)} tokens of ${shortName(answer.language)} lie within the range of the crossover.`,
    }[answer.recommendation])),
    h("dl", { class: "figures" },
      figure("Crossover", at.value === null ? "not known" : `${f.count(at.value, 2)} tokens`, words ? `range: ${words}` : "no range is known"),
      figure("The same as compute", answer.crossover_flops.value === null ? "not known" : f.flops(answer.crossover_flops.value), "FLOPs; the checkpoint's own are not counted"),
      figure("Scratch is better", probability === null ? "not known" : f.chance(probability), probability === null ? "no probability is supported" : "chance at these tokens"),
      figure("Read from", h("span", { class: "in-words" }, EVIDENCE[answer.evidence]), answer.range_basis)),
    h("p", { class: "hint certainty" }, `The checkpoint behind this: ${answer.basis.description}${answer.basis.language_tokens === null ? "" : `; it saw ${f.count(answer.basis.language_tokens, 2)} tokens of ${shortName(answer.language)}`}.`));
}

/** The crossover over model sizes, around the one in question. */
async function sizesCard(state) {
  const sizes = [0.1, 0.2, 0.5, 1, 2, 5, 10].map((r) => state.n_params * r);
  const answers = await Promise.all(sizes.map((n_params) => post("/api/plan/start", { language: state.language, tokens: state.tokens, share: state.share, n_params })));
  const known = answers.filter((one) => one.crossover_tokens.value !== null && one.likely_range);
  const say = (one) => `${f.count(one.n_params)} parameters: crossover at ${f.count(one.crossover_tokens.value, 2)} tokens\nrange ${f.count(one.likely_range[0], 2)} to ${f.count(one.likely_range[1], 2)}`;
  const seen = state.tokens * state.share;
  return card("The crossover over model sizes", { note: "above the band scratch is ahead, below it continuing is" },
    plot({
      label: known.map((one) => say(one).replaceAll("\n", ", ")).join("; "), height: 290,
      x: { scale: "log", title: "parameters", format: (v) => f.count(v) }, y: { scale: "log", title: `tokens of ${shortName(state.language)}`, format: (v) => f.count(v) },
      series: [
        { name: "crossover, with its range", index: 0, points: known.map((one) => ({ x: one.n_params, y: one.crossover_tokens.value, tip: say(one) })), band: known.map((one) => ({ x: one.n_params, low: one.likely_range[0], high: one.likely_range[1] })) },
        { name: "this run", index: 1, shape: "diamond", line: false, radius: 6, points: [{ x: state.n_params, y: seen, tip: `this run: ${f.count(state.n_params)} parameters, ${f.count(seen)} tokens` }] },
      ],
    }),
    numbers("crossovers", [
      { title: "parameters", cell: (one) => f.count(one.n_params), value: (one) => one.n_params },
      { title: "crossover, tokens", right: true, cell: (one) => f.count(one.crossover_tokens.value, 2), value: (one) => one.crossover_tokens.value },
      { title: "from", right: true, cell: (one) => f.count(one.likely_range[0], 2), value: (one) => one.likely_range[0] },
      { title: "to", right: true, cell: (one) => f.count(one.likely_range[1], 2), value: (one) => one.likely_range[1] },
    ], known));
}

function curvesCard(curves, answer) {
  return card("Your two curves", { note: `loss on ${shortName(answer.language)}` },
    plot({
      label: `Loss over tokens of ${curves.map((one) => one.run_id).join(" and ")}`, height: 290,
      x: { scale: "log", title: "tokens of the run", format: (v) => f.count(v) }, y: { scale: "linear", title: "loss, nats per token" },
      series: curves.map((one, i) => ({ name: one.run_id, index: i, points: one.tokens.map((tokens, k) => ({ x: tokens, y: one.loss[k], hollow: one.lr_state[k] !== "stable", tip: `${one.run_id}\n${f.count(tokens)} tokens: ${f.fixed(one.loss[k], 3)}${one.lr_state[k] === "stable" ? "" : `, ${one.lr_state[k]}`}` })).filter((p) => p.x > 0) })),
          }),
    h("p", { class: "hint" }, "Hollow: evaluated while the learning rate was not stable; these are not compared."));
}

function readingsCard(answer) {
  const entries = Object.entries(answer.readings).sort((a, b) => a[1] - b[1]);
  const rows = entries.map(([key, value]) => ({ label: SHORT[key] ?? key, marks: [{ value, index: 0, tip: `${key}: ${f.count(value, 2)} tokens` }] }));
  if (answer.tokens > 0) rows.push({ label: "this run", marks: [{ value: answer.tokens, index: 1, shape: "diamond", tip: `this run: ${f.count(answer.tokens)} tokens` }] });
  return card("Readings of the crossover", { note: "each published or measured value by itself" },
    entries.length ? dotRows({ rows, label: rows.map((row) => row.marks[0].tip).join("; "), title: "tokens of the language", scale: "log", format: (v) => f.count(v) }) : h("p", { class: "muted" }, "No single reading stands behind this."),
    numbers("readings", [{ title: "reading", cell: (r) => r[0] }, { title: "tokens", right: true, cell: (r) => f.count(r[1], 2), value: (r) => r[1] }], entries));
}
