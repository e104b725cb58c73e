// Stages: a multilingual stage and then one with more of the target; by /api/plan/schedule.

import { get, latest, post } from "../api.js";
import { barRows } from "../charts/rows.js";
import { h, put } from "../dom.js";
import * as f from "../format.js";
import * as link from "../link.js";
import { learn, name, shortName } from "../names.js";
import { countField } from "../ui/count.js";
import { chosenLanguages, languagePicker } from "../ui/languages.js";
import { card, codeBlock, failure, figure, fineprint, numbers, select, table, viewHead } from "../ui/parts.js";
import { codeDialog } from "./expand.js";
import { uniqueField } from "./plan-question.js";
import { unitWords } from "./plan.js";

const LAW = "atlas_two_stage";

export async function show(root, params) {
  const fits = (await get("/api/fits")).fits.filter((fit) => fit.law === LAW && fit.target);
  const asked = params.get("fit");
  const state = {
    fit: params.has("t") ? null : fits.some((fit) => fit.id === asked) ? asked : fits[0]?.id ?? null,
    target: params.get("t") ?? "cat_Latn", sources: link.list(params, "s") ?? ["spa_Latn"],
    flops: link.number(params, "C") ?? (fits.length ? 1e16 : 1e20), n_params: link.number(params, "N"), unique: link.byCode(params, "U"),
  };
  const questionPlace = h("div", { class: "card question stack" });
  const body = h("div", { class: "answer" });
  let request = null;
  let unit = "";

  const solve = latest(async () => {
    request = { flops: state.flops, n_params: state.n_params, ...(state.fit ? { fit: state.fit, unique: state.unique } : { target: state.target, sources: state.sources }) };
    try {
      const answer = await post("/api/plan/schedule", request);
      put(body, answer.schedule ? [told(answer, unit), fineprint(answer)] : missing(answer));
    } catch (error) {
      put(body, failure(error));
    }
  });
  const changed = () => {
    link.write("stages", link.params({ fit: state.fit, t: state.fit ? null : state.target, s: state.fit ? null : state.sources, C: state.flops, N: state.n_params, ...link.withPrefix("U", state.fit ? state.unique : {}) }));
    solve();
  };
  const set = (key) => (value) => {
    state[key] = value;
    changed();
  };

  async function draw() {
    let languages = [];
    if (state.fit) {
      const fit = await get(`/api/fits/${encodeURIComponent(state.fit)}`);
      unit = unitWords(fit.loss_unit);
      languages = [fit.target, ...Object.keys(fit.parameters).map((key) => key.match(/^tau\[(.*)\]$/)?.[1]).filter(Boolean)];
    }
    await learn([...languages, state.target, ...state.sources, ...fits.map((fit) => fit.target)]);
    const redraw = (key) => async (value) => {
      state[key] = value;
      await draw();
      changed();
    };
    put(questionPlace,
      fits.length
        ? select("Fit of the two-stage law", [["", "none: which runs would tell?"], ...fits.map((fit) => [fit.id, `${name(fit.target)}, ${f.counted(fit.n_runs, "run")} · ${fit.id}`])], state.fit ?? "", (v) => redraw("fit")(v || null))
        : h("p", { class: "hint" }, "No fit of the two-stage law is in this session, so the answer is which runs would tell. ", h("a", { href: `#/fit?law=${LAW}` }, "Fit it"), " to runs whose mixture changes."),
      state.fit
        ? h("div", { class: "stack tight" }, h("div", { class: "language-head hint", "aria-hidden": "true" }, h("span", null, "language"), h("span", null, "distinct tokens")),
          h("ul", { class: "rows" }, languages.map((code) => h("li", { class: "language-row" }, h("div", null, h("strong", null, name(code)), h("code", null, code)), uniqueField(code, state, changed, { known: null, empty: "no limit" })))))
        : [
          languagePicker({ label: "Language the model is for", chosen: () => [state.target, ...state.sources], onPick: (one) => redraw("target")(one.code) }).element,
          h("p", { class: "chosen" }, h("strong", null, name(state.target)), " ", h("code", null, state.target)),
          chosenLanguages({ label: "Languages of the first stage beside it", codes: state.sources, taken: () => [state.target, ...state.sources], onChange: redraw("sources") }),
        ],
      h("hr"),
      countField({ label: "Compute of the run, FLOPs", value: state.flops, min: 1e11, max: 1e26, words: f.typedFlops, onInput: set("flops") }).element,
      countField({ label: "Parameters, if they are fixed", value: state.n_params, optional: true, slider: false, placeholder: "the best size", onInput: set("n_params") }).element);
  }

  await draw();
  root.append(
    viewHead("Stages", "A first stage of several languages, then one with more of the target: how long, which mixtures, and what the order is worth. Only runs whose mixture changes tell.",
      h("button", { type: "button", class: "button", on: { click: () => codeDialog("schedule", request) } }, "Copy as…")),
    h("div", { class: "split" }, h("form", { "aria-label": "The question", on: { submit: (event) => event.preventDefault() } }, questionPlace), body));
  changed();
}

function told(answer, unit) {
  const { schedule, one_stage: one, gain } = answer;
  const two = schedule.stages.length > 1;
  const [loss, single, saved] = [schedule.loss, one.loss, gain].map((estimate) => f.estimate(estimate));
  const known = (shown) => (shown.interval ? `${f.percent(answer.level)} interval: ${shown.interval}` : "no interval");
  return h("div", { class: "answer" },
    h("section", { class: "card", "aria-label": "The answer" },
      h("h2", { class: "lead-sentence" }, two ? `${f.percent(schedule.stages[0].fraction)} of the tokens on the first mixture, ${f.percent(schedule.stages[1].fraction)} on the second` : "One mixture from start to end", h("span", { class: "muted" }, ` for the lowest loss of ${shortName(answer.target)}.`)),
      h("dl", { class: "figures" },
        figure("Parameters", f.count(schedule.n_params)), figure("Training tokens", f.count(schedule.tokens)),
        figure("Loss", loss.value, unit, known(loss)), figure("With one mixture", single.value, `${f.count(one.n_params)} parameters`, known(single)),
        two ? figure("The second stage saves", saved.value, known(saved)) : null,
        answer.probability_better === null ? null : figure("It helps", f.chance(answer.probability_better), "of the draws"))),
    h("div", { class: "columns" }, schedule.stages.map((stage, i) => stageCard(stage, two ? `Stage ${i + 1}` : "The mixture", schedule.tokens, answer.target)), two ? stageCard(one.stages[0], "One mixture instead", one.tokens, answer.target) : null));
}

function stageCard(stage, title, tokens, target) {
  const shares = Object.entries(stage.mixture).sort((a, b) => b[1] - a[1]);
  const all = stage.fraction * tokens;
  const rows = shares.map(([code, share]) => ({ label: shortName(code), value: share, text: f.percent(share), index: code === target ? 0 : 5, tip: `${name(code)}: ${f.percent(share)}, ${f.count(share * all)} tokens` }));
  return card(title, { note: `${f.count(all)} tokens, ${f.percent(stage.fraction)} of all` },
    barRows({ rows, label: `${title}: ${rows.map((row) => `${row.label} ${row.text}`).join(", ")}` }),
    numbers(title.toLowerCase().replaceAll(" ", "-"), [
      { title: "language", cell: (r) => name(r[0]), value: (r) => r[0] }, { title: "share", right: true, cell: (r) => f.percent(r[1]), value: (r) => r[1] }, { title: "tokens", right: true, cell: (r) => f.count(r[1] * all), value: (r) => r[1] * all },
    ], shares));
}

/** The runs that would tell, and how they become a study. */
function missing(answer) {
  const mixture = (shares) => Object.entries(shares).map(([code, share]) => `${shortName(code)} ${f.percent(share)}`).join(", ");
  const words = (stages) => stages.map((stage) => (stages.length > 1 ? h("div", null, h("span", { class: "muted" }, `${f.percent(stage.fraction)} of it: `), mixture(stage.mixture)) : mixture(stage.mixture)));
  return h("div", { class: "answer" },
    h("section", { class: "card", "aria-label": "The answer" },
      h("h2", { class: "lead-sentence" }, "Not told by the runs there are"),
      h("p", null, `${answer.reason.charAt(0).toUpperCase()}${answer.reason.slice(1)}.`)),
    card("Runs that would tell", { note: `${f.flops(answer.flops)} FLOPs in all; each staged run beside one of the same overall mixture in one stage` },
      table([
        { title: "parameters", cell: (r) => f.count(r.n_params) }, { title: "tokens", right: true, cell: (r) => f.count(r.tokens) },
        { title: "mixture, in order", cell: (r) => words(r.stages) }, { title: "FLOPs", right: true, cell: (r) => f.flops(r.flops) },
      ], answer.missing, { label: "Runs that would tell what the order is worth" }),
      h("p", { class: "hint rests" }, "Copy as… has the command that writes them as a study. After its runs:"),
      codeBlock(`atlas fit STUDY/runs --law ${LAW} --target ${answer.target} -o two-stage.json`, { what: "command" })));
}
