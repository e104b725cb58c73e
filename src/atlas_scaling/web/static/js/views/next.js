// What next: which runs would make one decision surer; by /api/plan/next.

import { get, latest, post } from "../api.js";
import { plot } from "../charts/plot.js";
import { freshId, h, put } from "../dom.js";
import * as f from "../format.js";
import * as link from "../link.js";
import { learn, name, shortName } from "../names.js";
import { countField } from "../ui/count.js";
import { card, choice, empty, failure, figure, fineprint, numbers, select, table, viewHead } from "../ui/parts.js";
import { codeDialog } from "./expand.js";
import { parseShare, uniqueField } from "./plan-question.js";

export async function show(root, params) {
  const [{ fits }, choices] = await Promise.all([get("/api/fits"), get("/api/choices")]);
  const usable = fits.filter((fit) => fit.has_draws);
  const head = (tools = []) => viewHead("What next", "Which runs to make next, so that one decision becomes surer for the compute they take.", tools);
  if (!usable.length) {
    root.append(head(), empty("This needs a fit with bootstrap draws", "What a run would tell is read from the draws of a fit of your own runs. Fit one here, or give a saved one:",
      h("a", { class: "button primary", href: "#/fit" }, "Fit a law"), h("pre", { class: "code" }, "atlas fit atlas-demo/runs --law atlas --target swe_Latn -o fits/swe.json\natlas serve atlas-demo fits/swe.json")));
    return;
  }
  const state = {
    fit: usable.some((fit) => fit.id === params.get("fit")) ? params.get("fit") : usable[0].id, decide: params.get("decide") ?? "loss",
    allowance: link.number(params, "C"), n_params: link.number(params, "N"), tokens: link.number(params, "D"), budget: link.number(params, "B"), most: link.number(params, "runs") ?? 8,
    accelerator: params.get("on"), all: params.has("all"), sizes: (link.list(params, "sizes") ?? []).map(Number).filter((one) => one > 0), mixture: link.byCode(params, "m"), unique: link.byCode(params, "U"),
  };
  const questionPlace = h("div", { class: "question card stack" });
  const body = h("div", { class: "answer" });
  let request = null;
  let fit = null;

  async function take() {
    const [document, points] = await Promise.all([get(`/api/fits/${encodeURIComponent(state.fit)}`), get(`/api/fits/${encodeURIComponent(state.fit)}/points`)]);
    fit = document;
    await learn([...usable.map((one) => one.target).filter(Boolean), ...languagesOf(fit)]);
    const most = (key) => Math.max(...(points.inputs[key] ?? [1e6]));
    const [n, d] = [most("n_params"), most("tokens") === 1e6 && points.inputs.target_tokens ? most("target_tokens") : most("tokens")];
    state.n_params ??= Number((4 * n).toPrecision(1));
    state.tokens ??= Number((4 * d).toPrecision(1));
    state.budget ??= Number((60 * n * d).toPrecision(1));
    state.allowance ??= Number((60 * n * d).toPrecision(1));
    state.accelerator ??= 6 * n * d < 1e17 ? "cpu-core" : "h100";
    if (!["loss", "size"].includes(state.decide) && !(state.decide in fit.parameters)) state.decide = "loss";
  }

  const solve = latest(async () => {
    const [known, shares] = [languagesOf(fit), Object.entries(state.mixture)];
    const sum = shares.reduce((all, [, share]) => all + share, 0);
    request = { fit: state.fit, allowance: state.allowance, decide: state.decide, most_runs: Math.round(state.most), all_parameters: state.all,
      sizes: state.sizes.length ? state.sizes : null, unique: Object.fromEntries(Object.entries(state.unique).filter(([code]) => known.includes(code))),
      mixture: sum > 0 && aboutRun(state) ? Object.fromEntries(shares.map(([code, share]) => [code, share / sum])) : null,
      ...(state.decide === "loss" ? { n_params: state.n_params, tokens: state.tokens } : {}), ...(state.decide === "size" ? { budget: state.budget } : {}) };
    try {
      const answer = await post("/api/plan/next", request);
      const cost = await post("/api/plan/cost", { flops: Math.max(answer.flops, 1), accelerators: [state.accelerator] });
      await learn(answer.runs.flatMap((run) => Object.keys(run.mixture)));
      put(body, headline(answer, cost, state, fit), runsCard(answer, cost.options[0]), fineprint(answer));
    } catch (error) {
      put(body, failure(error));
    }
  });
  const changed = () => {
    link.write("next", link.params({ fit: state.fit, decide: state.decide === "loss" ? null : state.decide, C: state.allowance, N: state.decide === "loss" ? state.n_params : null, D: state.decide === "loss" ? state.tokens : null, B: state.decide === "size" ? state.budget : null, runs: state.most === 8 ? null : state.most, on: state.accelerator, all: state.all, sizes: state.sizes, ...link.withPrefix("m", aboutRun(state) ? state.mixture : {}), ...link.withPrefix("U", state.unique) }));
    body.classList.add("stale");
    Promise.resolve(solve()).then(() => body.classList.remove("stale"));
  };
  const set = (key) => (value) => {
    state[key] = value;
    changed();
  };

  function drawQuestion() {
    const kinds = ["loss", "size"].includes(state.decide) ? state.decide : "parameter";
    put(questionPlace,
      select("Fit", usable.map((one) => [one.id, `${one.target ? `${name(one.target)}, ` : ""}${one.law}${one.variant ? ` ${one.variant}` : ""}: ${f.counted(one.n_runs, "run")}`]), state.fit, async (v) => {
        Object.assign(state, { fit: v, n_params: null, tokens: null, budget: null, allowance: null, sizes: [], mixture: {}, unique: {} });
        await take();
        drawQuestion();
        changed();
      }),
      choice("Be surer of", [["loss", "A loss"], ["size", "The best size"], ["parameter", "A parameter"]], kinds, (v) => {
        state.decide = v === "parameter" ? Object.keys(fit.parameters)[0] : v;
        drawQuestion();
        changed();
      }),
      kinds === "loss" ? [
        countField({ label: "Parameters of that run", value: state.n_params, min: 1e5, max: 1e12, onInput: set("n_params") }).element,
        countField({ label: "Tokens of that run", value: state.tokens, min: 1e5, max: 1e14, onInput: set("tokens") }).element,
      ] : null,
      kinds === "size" ? countField({ label: "For a budget, FLOPs", value: state.budget, min: 1e11, max: 1e26, words: f.typedFlops, onInput: set("budget") }).element : null,
      kinds === "parameter" || !fit.target ? null : mixtureFields(fit, state, changed),
      kinds === "parameter" ? select("Parameter", Object.keys(fit.parameters).map((key) => [key, `${f.parameter(key, name)}: ${fit.parameters[key].verdict.split(":")[0]}`]), state.decide, set("decide")) : null,
      h("hr"),
      countField({ label: "Compute for new runs, FLOPs", value: state.allowance, min: 1e11, max: 1e25, words: f.typedFlops, onInput: set("allowance") }).element,
      countField({ label: "Most runs", value: state.most, min: 1, max: 40, whole: true, words: (v) => String(Math.round(v)), onInput: (v) => set("most")(Math.max(1, Math.min(100, Math.round(v)))) }).element,
      sizesField(state, changed),
      select("Accelerator", choices.accelerators.map((one) => [one.name, one.name]), state.accelerator, set("accelerator"), { hint: "For the hours; its utilisation is assumed." }),
      choice("Narrow", [["no", "this decision"], ["yes", "all parameters"]], state.all ? "yes" : "no", (v) => set("all")(v === "yes")));
  }

  try {
    await take();
    drawQuestion();
  } catch (error) {
    put(body, failure(error));
  }
  root.append(head([h("button", { type: "button", class: "button", on: { click: () => codeDialog("next", request) } }, "Copy as…")]), h("div", { class: "split" }, h("form", { "aria-label": "The question", on: { submit: (e) => e.preventDefault() } }, questionPlace), body));
  if (fit) changed();
}

const aboutRun = (state) => ["loss", "size"].includes(state.decide);
const languagesOf = (fit) => (fit.target ? [...new Set([fit.target, ...Object.keys(fit.parameters).map((key) => key.match(/^tau\[(.*)\]$/)?.[1]).filter(Boolean)])] : []);

/** Shares of the run in question, and how much text there is; the target alone if none is given. */
function mixtureFields(fit, state, changed) {
  const codes = languagesOf(fit);
  const given = () => Object.keys(state.mixture).length || Object.keys(state.unique).length;
  const said = h("p", { class: "hint" });
  const draw = () => {
    const sum = Object.values(state.mixture).reduce((all, share) => all + share, 0);
    put(said, sum > 0 ? (Math.abs(sum - 1) < 0.005 ? "The shares sum to 100 %." : `The shares sum to ${f.percent(sum)}; they are scaled to 100 %.`) : `On ${name(fit.target)} alone, as no share is given.`);
  };
  const share = (code) => h("input", { type: "text", inputmode: "decimal", autocomplete: "off", "aria-label": `Share of ${name(code)}`, placeholder: "–", value: code in state.mixture ? f.percent(state.mixture[code]).replace("\u00a0", " ") : "", on: { input: (event) => {
    const value = parseShare(event.target.value);
    event.target.setAttribute("aria-invalid", Number.isNaN(value) ? "true" : "false");
    if (Number.isNaN(value)) return;
    if (value === null || value === 0) delete state.mixture[code];
    else state.mixture[code] = value;
    draw();
    changed();
  } } });
  draw();
  return h("details", { open: given() > 0 }, h("summary", null, "Mixture and text of that run"),
    h("table", { class: "limits" },
      h("thead", null, h("tr", null, ["language", "share", "distinct tokens"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", null, codes.map((code) => h("tr", null, h("th", { scope: "row" }, name(code)), h("td", null, share(code)), h("td", null, uniqueField(code, state, changed, { known: null, empty: "no limit" })))))),
    said);
}

/** Sizes that may be trained; what the fit has seen, and around it, if none is given. */
function sizesField(state, changed) {
  const id = freshId("sizes");
  const problem = h("p", { class: "problem", id: `${id}p`, hidden: true });
  const input = h("input", { type: "text", id, autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}p`, placeholder: "around those of the fit", value: state.sizes.map(f.typed).join(", "), on: { change: () => {
    const sizes = input.value.split(/[,;\s]+/).filter(Boolean).map(f.parseCount);
    const wrong = sizes.some((one) => one === null || Number.isNaN(one));
    problem.textContent = "Write them like 150M, 400M, 1B.";
    problem.hidden = !wrong;
    input.setAttribute("aria-invalid", wrong ? "true" : "false");
    if (wrong) return;
    state.sizes = sizes;
    changed();
  } } });
  return h("div", { class: "field" }, h("label", { for: id }, "Sizes that may be trained"), input, problem);
}

function headline(answer, cost, state, fit) {
  const now = f.estimate(answer.now);
  const isSize = state.decide === "size";
  const shown = isSize ? f.countEstimate({ value: Math.exp(answer.now.value), interval: answer.now.interval?.map(Math.exp) ?? null }) : now;
  const what = isSize ? "the best size for the budget" : state.decide === "loss" ? `the loss of ${f.count(state.n_params)} parameters on ${f.count(state.tokens)} tokens` : f.parameter(state.decide, shortName);
  const hours = cost.options[0].accelerator_hours;
  const gain = 1 - answer.interval_left;
  const told = !(state.decide in fit.parameters) || fit.parameters[state.decide].value !== null;
  return h("section", { class: "card", "aria-label": "The answer" },
    answer.runs.length
      ? h("h2", { class: "lead-sentence" }, `${f.counted(answer.runs.length, "run")} should leave ${f.percent(answer.interval_left)}`, h("span", { class: "muted" }, ` of the interval of ${what}.`))
      : h("h2", { class: "lead-sentence" }, "No run of this allowance tells anything of it."),
    h("dl", { class: "figures" },
      figure("Now", told ? shown.value : "not told", shown.interval ? `${f.percent(answer.level)} interval: ${shown.interval}` : "no interval"),
      figure("Interval after them", f.percent(answer.interval_left), "of its width now"),
      figure("They take", f.flops(answer.flops), `of ${f.flops(answer.allowance)} FLOPs`),
      figure(cost.options[0].accelerator === "cpu-core" ? "Core-hours" : "Accelerator-hours", f.amount(hours), cost.options[0].accelerator),
      hours > 0 && answer.runs.length ? figure("Gain an hour", f.percent(gain / hours), "of the interval's width") : null));
}

function runsCard(answer, option) {
  if (!answer.runs.length) return null;
  const hours = (run) => (option.accelerator_hours * run.flops) / answer.flops;
  const before = (i) => (i ? answer.runs[i - 1].interval_left : 1);
  const gain = (run, i) => before(i) - run.interval_left;
  const mixture = (run) => {
    const shares = Object.entries(run.mixture);
    if (!shares.length) return "any mixture";
    if (shares.length === 1) return `${shortName(shares[0][0])} alone`;
    const even = shares.every(([, share]) => Math.abs(share - shares[0][1]) < 1e-9);
    if (even) return shares.length > 3 ? `${shares.length} languages evenly` : `${f.listed(shares.map(([code]) => shortName(code)))} evenly`;
    return shares.map(([code, share]) => `${shortName(code)} ${f.percent(share)}`).join(", ");
  };
  const say = (run, i) => `${i + 1}. ${f.count(run.n_params)} parameters on ${f.count(run.tokens)} tokens, ${mixture(run)}\n${f.percent(run.interval_left)} of the interval left`;
  let spent = 0;
  const points = [{ x: 0, y: 100, tip: "now: all of the interval" }, ...answer.runs.map((run, i) => ({ x: (spent += hours(run)), y: 100 * run.interval_left, tip: say(run, i) }))];
  const unit = option.accelerator === "cpu-core" ? "core-hours" : `${option.accelerator}-hours`;
  return h("div", { class: "answer" },
    card("Runs, in the order of their worth", { note: "each with those before it" },
      table([
        { title: "run", cell: (r, i) => [`${i + 1}. ${f.count(r.n_params)} on ${f.count(r.tokens)} tokens`, h("span", { class: "sub" }, `${mixture(r)}${r.seed ? `, seed ${r.seed}` : ""}`)] },
        { title: unit, right: true, cell: (r) => f.amount(hours(r)) },
        { title: "interval left", right: true, cell: (r) => f.percent(r.interval_left) },
        { title: "gain an hour", right: true, cell: (r, i) => f.percent(gain(r, i) / hours(r)) },
      ], answer.runs, { label: "Runs to make next" }),
      h("p", { class: "hint" }, `${answer.n_candidates.toLocaleString("en")} candidates were looked at. The gain is the share of today's interval that a run removes, over its hours.`)),
    card("How the interval narrows", {},
      plot({ label: points.map((p) => p.tip.replaceAll("\n", ", ")).join("; "), height: 260, x: { scale: "linear", title: unit, format: (v) => f.amount(v) }, y: { scale: "linear", title: "interval left, % of its width now", domain: [0, 105], format: (v) => String(v) }, series: [{ index: 0, points }] }),
      numbers("next-runs", [
        { title: "parameters", cell: (r) => f.count(r.n_params), value: (r) => r.n_params }, { title: "tokens", right: true, cell: (r) => f.count(r.tokens), value: (r) => r.tokens },
        { title: "mixture", cell: mixture }, { title: "seed", right: true, cell: (r) => r.seed }, { title: "FLOPs", right: true, cell: (r) => f.flops(r.flops), value: (r) => r.flops },
        { title: "interval left", right: true, cell: (r) => f.percent(r.interval_left), value: (r) => r.interval_left },
      ], answer.runs)));
}
