// Plan: which languages, how large, how much, for a budget; by /api/plan/allocate.

import { get, latest, post } from "../api.js";
import { barRows, dotRows } from "../charts/rows.js";
import { plot } from "../charts/plot.js";
import { debounce, h, put } from "../dom.js";
import * as f from "../format.js";
import { write } from "../link.js";
import { learn, name, shortName } from "../names.js";
import { badge, card, figure, fineprint, failure, numbers, sentence, table, viewHead } from "../ui/parts.js";
import { fromParams, toParams, toRequest, costRequest, OBJECTIVES } from "./plan-state.js";
import { questionPanel } from "./plan-question.js";
import { shareTools, savedCard } from "./plan-saved.js";
import { PLANS } from "../store.js";

const SETTLE = 280;

export async function show(root, params, about) {
  const [{ fits }, choices, { matrices }] = await Promise.all([get("/api/fits"), get("/api/choices"), get("/api/transfer/matrices")]);
  const usable = fits.filter((fit) => /^(atlas|chinchilla)/.test(fit.law) && fit.target);
  const state = await fromParams(params, usable, about);
  const names = learn([...state.targets, ...(state.sources ?? []), ...usable.map((fit) => fit.target)]);
  const first = state.targets.length ? post("/api/plan/allocate", { ...toRequest(state), draws: !state.fits.length }).catch(() => null) : null;
  await names;
  const context = { state, fits: usable, choices, matrices, answer: null, cost: null };

  const restate = (change) => {
    Object.assign(state, change);
    question.refresh();
    changed(true);
  };
  const parts = answerParts(context, restate);
  let begun = false; // the first question was asked while names were still on their way
  const solve = latest(async (withDraws) => {
    if (!state.targets.length) return parts.ask("Choose at least one language that the model is for.");
    const request = toRequest(state);
    try {
      const ready = begun ? null : await first;
      begun = true;
      const answer = ready ?? await post("/api/plan/allocate", { ...request, draws: withDraws || !state.fits.length });
      const [cost] = await Promise.all([post("/api/plan/cost", costRequest(state, answer)), learn([...Object.keys(answer.mixture), ...mixed(answer)])]);
      Object.assign(context, { answer, cost, request });
      parts.show(withDraws || !state.fits.length);
    } catch (error) {
      parts.fail(error);
    }
  });
  const settle = debounce(() => solve(true), SETTLE);
  const changed = (settled) => {
    write("plan", toParams(state));
    parts.stale();
    if (state.fits.length) {
      solve(false);
      settle();
    } else solve(true);
    if (settled) parts.refreshSaved();
  };

  const question = questionPanel(context, changed);
  root.append(
    viewHead("Plan", "How large a model, how many tokens and which mixture a budget buys, for the languages you choose.", shareTools(context)),
    h("div", { class: "split" }, question.element, parts.element));
  write("plan", toParams(state));
  solve(!state.fits.length);
  if (state.fits.length) settle();
  // a plan saved in another tab
  const elsewhere = (event) => event.key === PLANS && parts.refreshSaved();
  addEventListener("storage", elsewhere);
  return () => {
    settle.cancel();
    removeEventListener("storage", elsewhere);
  };
}

const mixed = (answer) => Object.values(answer.alternatives).flatMap((one) => Object.keys(one.mixture));

/** The cards of the answer; each keeps its place while numbers change. */
function answerParts(context, restate) {
  const head = h("div");
  const losses = h("div");
  const mixture = h("div");
  const others = h("div");
  const frontier = h("div");
  const moves = h("div");
  const fine = h("div");
  const saved = savedCard(context);
  const problem = h("div");
  const body = h("div", { class: "answer" }, head, h("div", { class: "columns" }, losses, mixture), others, h("div", { class: "columns" }, frontier, moves), fine);
  const element = h("div", { class: "answer", "aria-live": "off" }, problem, body, saved.element);
  return {
    element,
    stale: () => body.classList.add("stale"),
    refreshSaved: () => saved.refresh(),
    ask(text) {
      body.hidden = true;
      put(problem, h("div", { class: "card empty" }, h("h2", null, text), h("p", null, "Search for it by name in the list on the left, such as Catalan, sv or Hindi.")));
    },
    fail(error) {
      body.hidden = true;
      put(problem, failure(error), error.document?.where === "fit" && context.state.mode === "compute"
        ? h("p", { class: "row" }, h("button", { type: "button", class: "button", on: { click: () => restate({ mode: "size" }) } }, "Give size and tokens")) : null);
    },
    show(drawn) {
      const { answer, cost, state } = context;
      put(problem);
      body.hidden = false;
      body.classList.remove("stale");
      put(head, headline(answer, cost, drawn));
      put(losses, lossCard(answer, drawn));
      put(mixture, mixtureCard(answer));
      put(others, alternativesCard(answer));
      put(frontier, frontierCard(answer, (flops) => restate({ flops }), state));
      put(moves, sensitivityCard(answer));
      put(fine, fineprint(answer));
      saved.refresh();
    },
  };
}

function headline(answer, cost, drawn) {
  const range = answer.plan_range;
  const option = cost.options[0];
  const size = { value: answer.n_params, interval: range?.n_params ?? null };
  const tokens = { value: answer.tokens, interval: range?.tokens ?? null };
  const shown = (one) => f.countEstimate(one);
  const largest = Object.entries(answer.mixture)[0];
  const run = `${shown(size).value} parameters on ${shown(tokens).value} tokens`;
  const aim = `lowest ${OBJECTIVES[answer.objective_kind].of}`;
  return h("section", { class: "card", "aria-label": "The plan" },
    h("h2", { class: "lead-sentence" }, isFixed(answer)
      ? ["This mixture", h("span", { class: "muted" }, ` gives ${run} the ${aim}.`)]
      : [run, h("span", { class: "muted" }, ` give the ${aim}.`)]),
    h("dl", { class: "figures" },
      figure("Parameters", shown(size).value, isFixed(answer) ? "as given" : drawsWords(size, answer.level)),
      figure("Training tokens", shown(tokens).value, isFixed(answer) ? "as given" : drawsWords(tokens, answer.level)),
      figure("Largest share", f.percent(largest[1]), name(largest[0])),
      figure("Compute", f.flops(answer.flops), "FLOPs in all"),
      figure(option.accelerator === "cpu-core" ? "Core-hours" : "Accelerator-hours", f.amount(option.accelerator_hours), `${option.accelerator}, ${f.percent(option.mfu)} of its peak`),
      figure("Wall-clock", f.duration(option.wall_clock_hours * 3600), `${f.counted(option.devices, "device")}${option.least_devices > option.devices ? `; needs ${option.least_devices} to hold it` : ""}`),
      option.money === null ? null : figure("Price", `${f.amount(option.money)} ${cost.currency}`, `${f.amount(option.energy_kwh)} kWh`)),
    h("p", { class: "hint certainty" }, certainty(answer, drawn)));
}

/** Whether size and tokens were given, so that only the mixture was chosen. */
const isFixed = (answer) => !answer.frontier.length;

function drawsWords(estimate, level) {
  const { interval } = f.countEstimate(estimate);
  if (!interval) return null;
  const [low, high] = interval.split(" to ");
  return low === high ? "the same in all draws" : `${f.percent(level)} of draws: ${interval}`;
}

function certainty(answer, drawn) {
  const range = answer.plan_range;
  if (!drawn) return "Intervals follow when you stop moving.";
  if (!range) {
    return "No intervals: the published laws were printed without their uncertainty, so how far off these numbers are is not known. Fits of your own runs bring intervals.";
  }
  const regret = range.expected_regret;
  const words = regret === null ? "" : ` Knowing the laws exactly would be worth at most ${f.digits(regret, 2)} in ${OBJECTIVES[answer.objective_kind].short} on average.`;
  return `Intervals hold ${f.percent(answer.level)} of ${range.n_draws} bootstrap draws of the fits, each solved for its own best plan.${words}`;
}

function lossCard(answer, drawn) {
  const known = Object.values(answer.loss).some((one) => one.interval);
  const alternatives = Object.entries(answer.alternatives);
  const rows = Object.entries(answer.loss).map(([code, loss]) => ({
    label: shortName(code),
    marks: [
      { value: loss.value, interval: loss.interval, index: 0, tip: `${name(code)}, this plan: ${inWords(loss)}` },
      ...alternatives.slice(0, 4).map(([key, other], i) => ({
        value: other.loss[code].value, index: 5, shape: ["square", "up", "diamond", "cross"][i], hollow: true, radius: 3.6, lift: 11,
        tip: `${name(code)}, ${words(key)}: ${inWords(other.loss[code])}`,
      })),
    ],
  }));
  const series = [{ name: "this plan", index: 0, shape: "circle" }, ...alternatives.slice(0, 4).map(([key], i) => ({ name: words(key), index: 5, shape: ["square", "up", "diamond", "cross"][i], hollow: true }))];
  const own = Object.keys(answer.own_best).length > 0;
  return card("Loss of each language", { note: `${unitWords(answer.loss_unit)}${known ? `, ${f.percent(answer.level)} intervals` : drawn ? ", no intervals" : ""}` },
    dotRows({ rows, series, height: alternatives.length ? 40 : 30, title: "loss, lower is better", label: `Loss of each language. ${rows.map((row) => row.marks[0].tip).join(". ")}` }),
    numbers("losses", [
      { title: "language", cell: (r) => name(r[0]), value: (r) => r[0] },
      { title: "loss", right: true, cell: (r) => f.estimate(r[1]).value, value: (r) => r[1].value },
      { title: "interval", right: true, cell: (r) => f.estimate(r[1]).interval ?? "not known", value: (r) => r[1].interval?.join(" ") },
      ...(own ? [{ title: "own best", right: true, cell: (r) => f.fixed(answer.own_best[r[0]], 2), value: (r) => answer.own_best[r[0]] }] : []),
      ...alternatives.map(([key, other]) => ({ title: words(key), right: true, cell: (r) => f.estimate(other.loss[r[0]]).value, value: (r) => other.loss[r[0]].value })),
    ], Object.entries(answer.loss)));
}

function mixtureCard(answer) {
  const worth = {};
  for (const one of answer.transfer) (worth[one.source] ??= []).push(`${shortName(one.target)} ${f.digits(one.tau, 2)}`);
  const targets = new Set(Object.keys(answer.loss));
  const rows = Object.entries(answer.mixture).map(([code, share]) => {
    const epochs = answer.epochs[code];
    const text = `${f.percent(share)}${epochs === undefined || epochs < 0.05 ? "" : ` · ${epochsText(epochs)}`}`;
    const range = answer.plan_range?.mixture[code];
    return {
      label: shortName(code), value: share, text, interval: range ?? null, index: targets.has(code) ? 0 : 5,
      tip: `${name(code)}: ${text}, ${f.count(share * answer.tokens)} tokens${range ? `\n${f.percent(answer.level)} of draws: ${f.percent(range[0])} to ${f.percent(range[1])}` : ""}${worth[code] ? `\na token is worth ${worth[code].slice(0, 4).join(", ")}` : ""}`,
    };
  });
  const unknown = Object.entries(answer.unique_tokens).filter(([code, one]) => one.tokens === null && answer.mixture[code]);
  return card("Mixture", { note: `share of the ${f.count(answer.tokens)} tokens${rows.some((r) => r.text.includes("epoch")) ? ", and passes over the text there is" : ""}` },
    targets.size < rows.length ? h("ul", { class: "keys" }, h("li", { class: "series-0" }, h("i", { class: "swatch" }), "target"), h("li", { class: "series-5" }, h("i", { class: "swatch" }), "helper")) : null,
    barRows({ rows, label: `Mixture: ${rows.map((r) => `${r.label} ${r.text}`).join(", ")}` }),
    unknown.length ? h("p", { class: "hint" }, `Distinct tokens of ${f.listed(unknown.slice(0, 4).map(([code]) => shortName(code)))}${unknown.length > 4 ? " and others" : ""} are not known: repetition is not priced there. Say how many there are, on the left.`) : null,
    numbers("mixture", [
      { title: "language", cell: (r) => name(r[0]), value: (r) => r[0] },
      { title: "share", right: true, cell: (r) => f.percent(r[1]), value: (r) => r[1] },
      { title: "tokens", right: true, cell: (r) => f.count(r[1] * answer.tokens), value: (r) => r[1] * answer.tokens },
      { title: "distinct tokens", right: true, cell: (r) => (answer.unique_tokens[r[0]]?.tokens ? f.count(answer.unique_tokens[r[0]].tokens) : "not known"), value: (r) => answer.unique_tokens[r[0]]?.tokens },
      { title: "epochs", right: true, cell: (r) => (answer.epochs[r[0]] === undefined ? "not known" : f.digits(answer.epochs[r[0]], 2)), value: (r) => answer.epochs[r[0]] },
      { title: "worth to targets", cell: (r) => (worth[r[0]] ?? []).join(", ") },
    ], Object.entries(answer.mixture)));
}

const epochsText = (epochs) => (epochs < 0.95 ? `${f.percent(epochs)} of the text` : `${f.digits(epochs, 2)} epochs`);

function alternativesCard(answer) {
  const rows = [["this plan", answer], ...Object.entries(answer.alternatives)];
  const drawn = rows.some(([, one]) => one.probability_plan_better !== null && one.probability_plan_better !== undefined);
  const gap = (one) => one.objective.value - answer.objective.value;
  return card("Against the usual mixtures", { note: isFixed(answer) ? "each at the same size and tokens" : "each at its own best size for the same budget" },
    table([
      { title: "mixture", cell: ([key]) => sentence(words(key)).slice(0, -1) },
      { title: "parameters", right: true, cell: ([, one]) => f.count(one.n_params) },
      { title: "tokens", right: true, cell: ([, one]) => f.count(one.tokens) },
      { title: OBJECTIVES[answer.objective_kind].short, right: true, cell: ([, one]) => f.estimate(one.objective).value },
      { title: "worse by", right: true, cell: ([key, one]) => (key === "this plan" ? "" : gap(one) < 1e-4 * Math.abs(answer.objective.value) ? "about equal" : f.digits(gap(one), 2)) },
      ...(drawn ? [{ title: "plan is better in", right: true, cell: ([key, one]) => (key === "this plan" ? "" : `${f.chance(one.probability_plan_better)} of draws`) }] : []),
    ], rows, { rowClass: (_, i) => (i === 0 ? "here" : null), label: "This plan and the usual mixtures" }));
}

function frontierCard(answer, setBudget, state) {
  if (isFixed(answer)) {
    return card("Other budgets", h("p", { class: "muted" }, "Parameters and tokens are both fixed, so there is no other budget to compare with. Choose ", h("em", null, "Compute"), " on the left to see the frontier."));
  }
  const points = answer.frontier.map((one) => ({
    x: one.flops, y: one.objective, hollow: one.flops !== answer.flops,
    tip: `${f.flops(one.flops)} FLOPs: ${f.count(one.n_params)} parameters on ${f.count(one.tokens)} tokens\n${OBJECTIVES[answer.objective_kind].short} ${f.fixed(one.objective, 3)}${one.flops === answer.flops ? "\nthis plan" : "\nclick to plan for it"}`,
    pick: one.flops === answer.flops || state.mode === "size" ? null : () => setBudget(one.flops),
  }));
  return card("Other budgets", { note: "the best plan at each; choose a point to plan for it" },
    plot({
      label: `Frontier over budgets: ${points.map((p) => p.tip.replaceAll("\n", ", ")).join("; ")}`,
      height: 230, x: { scale: "log", title: "FLOPs", format: (v) => f.flops(v, 1) }, y: { scale: "linear", title: OBJECTIVES[answer.objective_kind].short },
      series: [{ index: 0, points, shape: "circle" }],
    }),
    numbers("frontier", [
      { title: "FLOPs", cell: (p) => f.flops(p.flops), value: (p) => p.flops },
      { title: "parameters", right: true, cell: (p) => f.count(p.n_params), value: (p) => p.n_params },
      { title: "tokens", right: true, cell: (p) => f.count(p.tokens), value: (p) => p.tokens },
      { title: "objective", right: true, cell: (p) => f.fixed(p.objective, 3), value: (p) => p.objective },
      { title: "largest shares", cell: (p) => Object.entries(p.mixture).slice(0, 3).map(([code, share]) => `${shortName(code)} ${f.percent(share)}`).join(", ") },
    ], answer.frontier));
}

function sensitivityCard(answer) {
  const rows = answer.sensitivity.slice(0, 9).map((one) => ({
    label: numberWords(one.name), value: one.objective_change, text: `${one.objective_change > 0 ? "+" : "−"}${f.digits(Math.abs(one.objective_change), 2)}`,
    index: one.objective_change < 0 ? 0 : 1, tip: `${numberWords(one.name)} ${one.change}: ${one.objective_change < 0 ? "better" : "worse"} by ${f.digits(Math.abs(one.objective_change), 2)}`,
  }));
  return card("What moves it", { note: `change of the ${OBJECTIVES[answer.objective_kind].short} for a change of one number; left is better` },
    rows.length ? barRows({ rows, signed: true, label: `Sensitivity: ${rows.map((r) => r.tip).join("; ")}` }) : h("p", { class: "muted" }, "Nothing moves it."),
    answer.sensitivity.length ? numbers("sensitivity", [
      { title: "number", cell: (r) => numberWords(r.name), value: (r) => r.name },
      { title: "change", cell: (r) => r.change },
      { title: "effect", right: true, cell: (r) => f.digits(r.objective_change, 2), value: (r) => r.objective_change },
    ], answer.sensitivity) : null);
}

function numberWords(text) {
  const [group, inside] = text.split("[");
  if (!inside) return { flops: "Compute", n_params: "Parameters", tokens: "Tokens" }[group] ?? group;
  const codes = inside.replace("]", "").split(" <- ").map(shortName);
  const words = { unique: "Text of", floor: "Floor of", cap: "Cap of", share: "Some", tau: "τ" };
  if (group === "tau") return `τ ${codes[0]} ← ${codes[1]}`;
  return words[group] ? `${words[group]} ${codes[0]}` : `${f.parameter(group)} of ${codes[0]}`;
}

export const words = (key) => ({ unimax: "Unimax", target_only: "targets only", temperature: "temperature (U^0.3)", proportional: "proportional to text" })[key] ?? key.replaceAll("_", " ");

export function inWords(one) {
  const { value, interval } = f.estimate(one);
  return interval ? `${value} (${interval})` : value;
}

export function unitWords(unit) {
  return { nats_per_token: "nats per token", bits_per_byte: "bits per byte" }[unit] ?? unit.replaceAll("_", " ");
}

export { badge };
