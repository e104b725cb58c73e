// Keeping plans, setting two side by side, and taking a plan elsewhere.

import { post } from "../api.js";
import { dotRows } from "../charts/rows.js";
import { copy, h, put, toast } from "../dom.js";
import * as f from "../format.js";
import { learn, name, shortName } from "../names.js";
import { removePlan, savedPlans, savePlan } from "../store.js";
import { card, codeBlock, dialog, failure, select, table } from "../ui/parts.js";
import { inWords, unitWords } from "./plan.js";

const CURRENT = "";

/** Buttons over the plan. */
export function shareTools(context) {
  const save = h("button", { type: "button", class: "button", on: { click: () => saveDialog(context) } }, "Save plan");
  const link = h("button", { type: "button", class: "button", on: { click: () => copy(location.href, "link copied: it restores this question") } }, "Copy link");
  const take = h("button", { type: "button", class: "button primary", on: { click: () => takeDialog(context) } }, "Copy as…");
  return [save, link, take];
}

function saveDialog(context) {
  if (!context.answer) return toast("there is no plan yet");
  const input = h("input", { type: "text", maxlength: 60, value: suggestion(context), "aria-label": "Name of the plan" });
  const box = dialog("Save this plan",
    h("form", { class: "stack", on: { submit: (event) => {
      event.preventDefault();
      const kept = savePlan({ name: input.value.trim() || suggestion(context), when: new Date().toISOString(), link: location.hash, request: context.request, answer: context.answer, cost: context.cost });
      box.close();
      toast(kept ? "saved in this browser" : "this browser does not let pages keep anything");
      context.onSaved?.();
    } } }, h("p", { class: "hint" }, "Kept in this browser only. Save two to set them side by side."), input, h("div", { class: "row" }, h("button", { class: "button primary" }, "Save"))));
  input.select();
}

function suggestion({ state, answer }) {
  return `${state.targets.slice(0, 3).map(shortName).join(", ")}${state.targets.length > 3 ? " …" : ""}, ${f.flops(answer.flops, 1)} FLOPs`.slice(0, 60);
}

/** The plan as a command, as Python, as a study and as mixtures for trainers. */
async function takeDialog(context) {
  if (!context.answer) return toast("there is no plan yet");
  const { answer, request } = context;
  const body = h("div", { class: "stack" });
  const forms = [
    ["command", "Command", null], ["python", "Python", "plan.py"], ["atlas", "Study (YAML)", "group.yaml"], ["olmo-core", "OLMo-core", "mixture.yaml"],
    ["megatron", "Megatron", "blend.txt"], ["huggingface", "Hugging Face", "interleave.py"], ["olmix", "Olmix", "ratios.csv"], ["json", "JSON", "plan.json"],
  ];
  const shown = async (key) => {
    const [, , file] = forms.find(([one]) => one === key);
    try {
      let text;
      let notes = [];
      if (key === "json") text = JSON.stringify(answer, null, 2);
      else if (key === "command" || key === "python") {
        const code = await post("/api/plan/allocate/code", request);
        [text, notes] = [code[key], code.notes];
      } else {
        text = (await post("/api/plan/export", { mixture: answer.mixture, to: key, tokens: answer.tokens, n_params: answer.n_params, epochs: answer.epochs })).text;
        if (key === "atlas") notes = ["save it as plan.yaml, put your own text and vocabulary in, then  atlas study design plan.yaml"];
      }
      put(body, notes.map((note) => h("p", { class: "notice" }, note)), codeBlock(text, { file, what: forms.find(([one]) => one === key)[1] }));
    } catch (error) {
      put(body, failure(error));
    }
  };
  dialog("Take this plan with you", h("div", { class: "stack" }, select("As", forms.map(([key, title]) => [key, title]), "command", shown), body));
  shown("command");
}

/** Saved plans, two of them side by side. */
export function savedCard(context) {
  const element = h("div");
  let pair = [CURRENT, null];
  const refresh = () => {
    const plans = savedPlans();
    if (!plans.length) return put(element);
    const find = (key) => (key === CURRENT ? context.answer && { name: "this plan", answer: context.answer, cost: context.cost } : plans.find((one) => one.name === key));
    if (!pair[1] || !find(pair[1])) pair[1] = plans[0].name;
    if (!find(pair[0])) pair[0] = CURRENT;
    const options = [[CURRENT, "This plan"], ...plans.map((one) => [one.name, one.name])];
    const [a, b] = pair.map(find);
    const body = h("div");
    put(element, card("Two plans side by side", { note: "saved in this browser" },
      h("div", { class: "pair" },
        select("First", options, pair[0], (v) => { pair[0] = v; refresh(); }), select("Second", options, pair[1], (v) => { pair[1] = v; refresh(); })),
      body,
      h("details", null, h("summary", null, `${f.counted(plans.length, "saved plan")}`),
        h("ul", { class: "rows" }, plans.map((one) => h("li", { class: "saved-row" },
          h("a", { href: one.link }, one.name), h("span", { class: "muted small" }, new Date(one.when).toLocaleString()),
          h("button", { type: "button", class: "link-button small", "aria-label": `Remove ${one.name}`, on: { click: () => { removePlan(one.name); refresh(); } } }, "Remove")))))));
    if (a && b) learn([a, b].flatMap((one) => [...Object.keys(one.answer.mixture), ...Object.keys(one.answer.loss)])).then(() => put(body, sideBySide(a, b)));
  };
  context.onSaved = refresh;
  refresh();
  return { element, refresh };
}

function sideBySide(a, b) {
  const plans = [a, b];
  const comparable = a.answer.loss_unit === b.answer.loss_unit && a.answer.law === b.answer.law && a.answer.source === b.answer.source;
  const codes = [...new Set(plans.flatMap((one) => Object.keys(one.answer.loss)))];
  const mixed = [...new Set(plans.flatMap((one) => Object.keys(one.answer.mixture)))];
  const cells = (get) => plans.map((one) => get(one.answer, one));
  const rows = [
    ["Parameters", ...cells((x) => f.countEstimate({ value: x.n_params, interval: x.plan_range?.n_params ?? null }).value)],
    ["Training tokens", ...cells((x) => f.countEstimate({ value: x.tokens, interval: x.plan_range?.tokens ?? null }).value)],
    ["Compute, FLOPs", ...cells((x) => f.flops(x.flops))],
    ["Accelerator-hours", ...cells((_, one) => (one.cost ? `${f.amount(one.cost.options[0].accelerator_hours)} ${one.cost.options[0].accelerator}` : f.MISSING))],
    ...codes.map((code) => [`Loss, ${name(code)}`, ...cells((x) => (x.loss[code] ? inWords(x.loss[code]) : "no target"))]),
    ...mixed.map((code) => [`Share, ${name(code)}`, ...cells((x) => (x.mixture[code] ? `${f.percent(x.mixture[code])}${x.epochs[code] ? `, ${f.digits(x.epochs[code], 2)} epochs` : ""}` : "none"))]),
  ];
  return h("div", { class: "stack" },
    comparable ? null : h("p", { class: "notice warn" }, `These plans rest on different laws (${a.answer.source}; ${b.answer.source}): their losses may not compare.`),
    dotRows({
      rows: codes.map((code) => ({ label: shortName(code), marks: plans.map((one, i) => ({ value: one.answer.loss[code]?.value ?? null, interval: one.answer.loss[code]?.interval, index: i, shape: i ? "diamond" : "circle", lift: i ? 5 : -5, tip: `${name(code)}, ${one.name}: ${one.answer.loss[code] ? inWords(one.answer.loss[code]) : ""}` })) })),
      series: plans.map((one, i) => ({ name: one.name, index: i, shape: i ? "diamond" : "circle" })),
      title: `loss, ${unitWords(a.answer.loss_unit)}`, label: "Losses of both plans",
    }),
    table([{ title: "", cell: (r) => r[0] }, { title: a.name, right: true, cell: (r) => r[1] }, { title: b.name, right: true, cell: (r) => r[2] }], rows, { label: `${a.name} beside ${b.name}` }));
}
