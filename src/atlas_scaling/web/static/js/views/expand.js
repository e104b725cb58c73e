// Expand: from K to K' languages at the same loss; by /api/plan/expand.

import { get, latest, post } from "../api.js";
import { plot } from "../charts/plot.js";
import { h, put } from "../dom.js";
import * as f from "../format.js";
import * as link from "../link.js";
import { countField } from "../ui/count.js";
import { card, choice, codeBlock, dialog, failure, figure, fineprint, numbers, select, table, viewHead } from "../ui/parts.js";

export async function show(root, params) {
  const { fits } = await get("/api/fits");
  const usable = fits.filter((fit) => fit.law === "capacity");
  const state = {
    from: link.number(params, "K") ?? 8, to: link.number(params, "K2") ?? 16,
    n_params: link.number(params, "N") ?? 2e9, tokens: link.number(params, "D") ?? 400e9,
    share: link.number(params, "w"), fit: usable.some((fit) => fit.id === params.get("fit")) ? params.get("fit") : null,
  };
  const body = h("div", { class: "answer" });
  let request = null;
  const solve = latest(async () => {
    request = { from_languages: state.from, to_languages: state.to, n_params: state.n_params, tokens: state.tokens, capacity_share: state.share, fit: state.fit };
    try {
      const several = [2, 4, 8, 16].map((r) => post("/api/plan/expand", { ...request, to_languages: state.from * r }));
      const [answer, ...steps] = await Promise.all([post("/api/plan/expand", request), ...several]);
      put(body, headline(answer, state), h("div", { class: "columns" }, frontierCard(answer, state), stepsCard(steps, answer)), fineprint(answer));
    } catch (error) {
      put(body, failure(error));
    }
  });
  const changed = () => {
    link.write("expand", link.params({ K: state.from, K2: state.to, N: state.n_params, D: state.tokens, w: state.share, fit: state.fit }));
    solve();
  };
  const set = (key, whole) => (value) => {
    state[key] = whole && value !== null ? Math.max(1, Math.round(value)) : value;
    changed();
  };
  const question = h("form", { class: "card question stack", "aria-label": "The question", on: { submit: (e) => e.preventDefault() } },
    countField({ label: "Languages now", value: state.from, min: 1, max: 400, whole: true, words: String, onInput: set("from", true) }).element,
    countField({ label: "Languages wanted", value: state.to, min: 1, max: 400, whole: true, words: String, onInput: set("to", true), hint: "Sampled evenly, before and after." }).element,
    h("hr"),
    countField({ label: "Parameters now", value: state.n_params, min: 1e6, max: 1e12, onInput: set("n_params") }).element,
    countField({ label: "Training tokens now, of all languages", value: state.tokens, min: 1e6, max: 1e14, onInput: set("tokens") }).element,
    h("hr"),
    usable.length ? select("Law", [["", "published constants"], ...usable.map((fit) => [fit.id, `${fit.id}, ${f.counted(fit.n_runs, "run")}`])], state.fit ?? "", (v) => { state.fit = v || null; changed(); }) : h("p", { class: "hint" }, "By the published capacity law. A fit of it to your own runs brings intervals: ", h("a", { href: "#/fit?law=capacity" }, "fit the capacity law"), "."),
    countField({ label: "Capacity share of the reducible loss", value: state.share, optional: true, slider: false, placeholder: "compute-optimal", words: (v) => String(v ?? ""), hint: "How much of today's reducible loss more parameters would remove, 0 to 1. Small for a model trained on few tokens, large for one trained on very many.", onInput: set("share") }).element);
  root.append(
    viewHead("Expand", "What it costs to serve more languages at the same loss of each: parameters, tokens, compute.",
      h("button", { type: "button", class: "button", on: { click: () => codeDialog("expand", request) } }, "Copy as…")),
    h("div", { class: "split" }, question, body));
  changed();
}

/** The question as a command and as Python; `path` is the route that writes them. */
export async function codeDialog(kind, request, path = `/api/plan/${kind}/code`) {
  const body = h("div", { class: "stack" });
  dialog("Take this question with you", body);
  try {
    const code = await post(path, request);
    const pick = (key) => put(place, codeBlock(code[key], { what: key === "command" ? "Command" : "Python", file: key === "python" ? `${kind}.py` : null }));
    const place = h("div");
    put(body, choice("Form", [["command", "Command"], ["python", "Python"]], "command", pick, { hidden: true }), code.notes.map((note) => h("p", { class: "notice" }, note)), place);
    pick("command");
  } catch (error) {
    put(body, failure(error));
  }
}

const times = (one) => {
  const { value, interval } = f.estimate(one, { plain: 2 });
  return [`${value}×`, interval ? `${interval}` : null];
};

function headline(answer, state) {
  const [n, d, c, l] = [answer.n_params_ratio, answer.tokens_ratio, answer.flops_ratio, answer.tokens_per_language_ratio].map(times);
  const known = Boolean(answer.n_params_ratio.interval);
  const to = (one, shown = f.count) => (one ? `to ${f.countEstimate(one, shown).value}` : null);
  return h("section", { class: "card", "aria-label": "The cost" },
    h("h2", { class: "lead-sentence" }, `From ${state.from} to ${state.to} languages`, h("span", { class: "muted" }, " at the same loss of each")),
    h("dl", { class: "figures" },
      figure("Parameters", n[0], to(answer.n_params), n[1]), figure("Tokens, all", d[0], to(answer.tokens), d[1]),
      figure("Tokens, each language", l[0], null, l[1]), figure("Compute", c[0], answer.flops ? `to ${f.flops(answer.flops.value)} FLOPs` : null, c[1])),
    answer.rebalancing.value < 0.97
      ? h("p", { class: "hint certainty" }, `Of this, ${f.fixed(answer.rebalancing.value, 2)}× comes from moving parameters against tokens, which would pay without any new language. With the balance of today: ${f.fixed(answer.unbalanced.n_params_ratio, 2)}× parameters, ${f.fixed(answer.unbalanced.tokens_ratio, 2)}× tokens, ${f.fixed(answer.unbalanced.flops_ratio, 2)}× compute.`)
      : null,
    h("p", { class: "hint certainty" }, known ? `${f.percent(answer.level)} intervals from the draws of the fit.` : "No intervals: the constants were printed without their uncertainty, so how far off these numbers are is not known."));
}

function frontierCard(answer, state) {
  const best = { x: answer.n_params_ratio.value, y: answer.tokens_ratio.value };
  const say = (p) => `${f.factor(p.n_params_ratio)} parameters, ${f.factor(p.tokens_ratio)} tokens, ${f.factor(p.flops_ratio)} compute`;
  const near = answer.frontier.filter((p) => p.flops_ratio <= 2.2 * answer.flops_ratio.value);
  return card("Every way to the same loss", { note: "a larger model needs fewer tokens, and the other way round" },
    plot({
      label: `Iso-loss frontier from ${state.from} to ${state.to} languages: ${say(near[0])} to ${say(near.at(-1))}; cheapest: ${f.factor(best.x)} parameters, ${f.factor(best.y)} tokens`,
      height: 280, x: { scale: "log", title: "parameters, new over old", format: (v) => f.factor(v) }, y: { scale: "log", title: "tokens in all, new over old", format: (v) => f.factor(v) },
      series: [
        { name: "same loss", index: 0, dots: false, points: near.map((p) => ({ x: p.n_params_ratio, y: p.tokens_ratio, tip: say(p) })) },
        { name: "least compute", index: 1, shape: "diamond", line: false, radius: 6, points: [{ ...best, tip: `least compute\n${f.factor(best.x)} parameters, ${f.factor(best.y)} tokens, ${f.factor(answer.flops_ratio.value)} compute` }] },
      ],
    }),
    numbers("iso-loss-frontier", [
      { title: "parameters", right: true, cell: (p) => f.factor(p.n_params_ratio), value: (p) => p.n_params_ratio },
      { title: "tokens", right: true, cell: (p) => f.factor(p.tokens_ratio), value: (p) => p.tokens_ratio },
      { title: "compute", right: true, cell: (p) => f.factor(p.flops_ratio), value: (p) => p.flops_ratio },
    ], near));
}

function stepsCard(steps, answer) {
  const row = (one) => [one.to_languages, one.n_params_ratio, one.tokens_ratio, one.flops_ratio];
  const cell = (i) => (r) => {
    const [value, interval] = times(r[i]);
    return [value, interval ? h("span", { class: "sub" }, interval) : null];
  };
  return card("And further", { note: `from ${f.digits(answer.from_languages, 3)} languages, each at its least compute` },
    table([
      { title: "to", cell: (r) => `${f.digits(r[0], 4)} languages` }, { title: "parameters", right: true, cell: cell(1) },
      { title: "tokens, all", right: true, cell: cell(2) }, { title: "compute", right: true, cell: cell(3) },
    ], steps.map(row), { label: "Cost of more languages" }),
    h("p", { class: "hint" }, "The published law rests on 4 to 50 languages; beyond them it is carried on, and the answer says so."));
}
