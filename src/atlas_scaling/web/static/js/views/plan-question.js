// The left side of the plan: what is asked.

import { h, put } from "../dom.js";
import * as f from "../format.js";
import { entry, learn, name } from "../names.js";
import { countField } from "../ui/count.js";
import { languagePicker } from "../ui/languages.js";
import { badge, check, choice, select } from "../ui/parts.js";
import { OBJECTIVES } from "./plan-state.js";

export const STATUS = { ok: ["told", "told"], weak: ["weak", "weakly told"], not_identified: ["untold", "not told in part"], not_converged: ["untold", "did not converge"] };

/** @param changed called with true when a change is settled, false while a slider moves. */
export function questionPanel(context, changed) {
  const { state, fits, choices, matrices } = context;
  const languages = h("div", { class: "stack" });
  const helpers = h("div", { class: "stack" });
  const budget = h("div", { class: "stack" });
  const limits = h("div", { class: "stack" });

  const add = (list) => async (language) => {
    await learn([language.code]);
    list().push(language.code);
    const fit = fits.find((one) => one.target === language.code && one.law === "atlas") ?? fits.find((one) => one.target === language.code);
    if (fit && list() === state.targets && state.fits.length) state.fits.push(fit.id);
    draw();
    changed(true);
  };
  const drop = (list, code) => {
    list.splice(list.indexOf(code), 1);
    for (const values of [state.weights, state.floors, state.caps]) delete values[code];
    state.fits = state.fits.filter((id) => fits.find((one) => one.id === id)?.target !== code || !list.length || list !== state.targets);
    draw();
    changed(true);
  };
  const languageRow = (code, list) => h("li", { class: "language-row" },
    h("div", null, h("strong", null, name(code)), h("code", null, code)),
    uniqueField(code, state, changed),
    h("button", { type: "button", class: "icon-button small-button", "aria-label": `Remove ${name(code)}`, on: { click: () => drop(list, code) } }, "×"));

  function drawLanguages() {
    const picker = languagePicker({ label: "Languages the model is for", chosen: () => [...state.targets, ...(state.sources ?? [])], onPick: add(() => state.targets) });
    put(languages, picker.element,
      state.targets.length ? [h("div", { class: "language-head hint", "aria-hidden": "true" }, h("span", null, "language"), h("span", null, "distinct tokens")), h("ul", { class: "rows" }, state.targets.map((code) => languageRow(code, state.targets)))] : null);
  }

  function drawHelpers() {
    const mode = state.sources === null ? "auto" : state.sources.length ? "named" : state.named ? "named" : "none";
    put(helpers,
      choice("May also train on", [["auto", "Best helpers", "chosen by transfer"], ["named", "These only"], ["none", "Nothing else"]], mode, (key) => {
        state.named = key === "named";
        state.sources = key === "auto" ? null : key === "none" ? [] : usedHelpers(context);
        learn(state.sources ?? []).then(() => {
          drawHelpers();
          changed(true);
        });
      }),
      mode === "auto" ? h("p", { class: "hint" }, "The languages with the highest transfer scores for each target, or those that your fits know.") : null,
      mode === "named" ? [
        languagePicker({ label: "Helper languages", hideLabel: true, placeholder: "Add a helper", chosen: () => [...state.targets, ...state.sources], onPick: add(() => state.sources) }).element,
        h("ul", { class: "rows" }, state.sources.map((code) => languageRow(code, state.sources))),
      ] : null);
  }

  function drawBudget() {
    const set = (key) => (value, settled) => {
      state[key] = value;
      changed(settled);
    };
    const fields = {
      flops: countField({ label: "Compute, FLOPs", value: state.flops, min: 1e13, max: 1e26, words: f.typedFlops, onInput: set("flops") }),
      n_params: countField({ label: "Parameters", value: state.n_params, min: 1e6, max: 1e12, onInput: set("n_params") }),
      tokens: countField({ label: "Training tokens", value: state.tokens, min: 1e6, max: 1e14, onInput: set("tokens") }),
    };
    const shown = { compute: ["flops"], both: ["flops", "n_params"], size: ["n_params", "tokens"] }[state.mode];
    put(budget, choice("Budget", [["compute", "Compute"], ["both", "Compute and size"], ["size", "Size and tokens"]], state.mode, (key) => {
      state.mode = key;
      if (context.answer) {
        // go on from where the plan stands
        if (key !== "compute") state.n_params = Number(context.answer.n_params.toPrecision(2));
        if (key === "size") state.tokens = Number(context.answer.tokens.toPrecision(2));
      }
      drawBudget();
      changed(true);
    }), shown.map((key) => fields[key].element),
    choice("Minimise", Object.entries(OBJECTIVES).map(([key, one]) => [key, one.text, one.hint]), state.objective, (key) => {
      state.objective = key;
      drawBudget();
      changed(true);
    }),
    h("p", { class: "hint" }, `${OBJECTIVES[state.objective].hint.charAt(0).toUpperCase()}${OBJECTIVES[state.objective].hint.slice(1)}.`));
  }

  const laws = h("div", { class: "stack" });
  function drawLaws() {
    const of = (code) => fits.filter((fit) => fit.target === code);
    const current = (code) => of(code).find((fit) => state.fits.includes(fit.id));
    const title = (fit) => `${fit.law}${fit.variant ? ` ${fit.variant}` : ""}, ${f.counted(fit.n_runs, "run")}${fit.has_draws ? "" : ", no intervals"} · ${fit.id}`;
    const others = [...new Set(fits.map((fit) => fit.target))].filter((code) => !state.targets.includes(code) && !(state.sources ?? []).includes(code));
    const own = state.targets.filter((code) => of(code).length);
    put(laws, h("h3", null, "Laws"),
      own.map((code) => {
        const chosen = current(code);
        const field = select(name(code), [["", "published law"], ...of(code).map((fit) => [fit.id, title(fit)])], chosen?.id ?? "", (id) => {
          state.fits = state.fits.filter((one) => !of(code).some((fit) => fit.id === one));
          if (id) state.fits.push(id);
          drawLaws();
          changed(true);
        });
        if (chosen) field.append(badge(...(STATUS[chosen.status] ?? ["idle", chosen.status])));
        return field;
      }),
      others.length ? h("div", { class: "row" }, h("span", { class: "hint" }, "More languages with fits:"), others.slice(0, 12).map((code) => h("button", { type: "button", class: "button slim", on: { click: () => add(() => state.targets)({ code }) } }, `+ ${name(code)}`))) : null,
      h("p", { class: "hint" }, fits.length
        ? "Losses of two units do not add up: choose fits for all targets, or for none."
        : ["The published laws (Table C.1); a language without its own borrows a relative's. ", h("a", { href: "#/fit" }, "Fit your own runs"), " for intervals."]));
  }

  function drawLimits() {
    const codes = [...state.targets, ...(state.sources ?? [])];
    const field = (values, code, label, most) => h("input", {
      type: "text", inputmode: "decimal", "aria-label": `${label} of ${name(code)}`, placeholder: "–", value: values[code] ?? "",
      on: { change: (event) => {
        const value = parseShare(event.target.value, most);
        event.target.setAttribute("aria-invalid", Number.isNaN(value) ? "true" : "false");
        if (Number.isNaN(value)) return;
        if (value === null) delete values[code];
        else values[code] = value;
        changed(true);
      } },
    });
    put(limits, h("details", { open: Object.keys({ ...state.weights, ...state.floors, ...state.caps }).length > 0 || state.served_tokens !== null || state.max_epochs !== null || state.interference || state.matrix !== null },
      h("summary", null, "Limits, weights, serving"),
      h("div", { class: "stack" },
        h("table", { class: "limits" }, h("thead", null, h("tr", null, ["", "weight", "least share", "largest share"].map((text) => h("th", { scope: "col" }, text || h("span", { class: "unseen" }, "language"))))),
          h("tbody", null, codes.map((code) => h("tr", null, h("th", { scope: "row" }, name(code)),
            h("td", null, state.targets.includes(code) ? field(state.weights, code, "weight", Infinity) : null), h("td", null, field(state.floors, code, "least share", 1)), h("td", null, field(state.caps, code, "largest share", 1)))))),
        countField({ label: "Most epochs over any text", value: state.max_epochs, optional: true, slider: false, placeholder: "no limit", onInput: (v) => { state.max_epochs = v; changed(true); } }).element,
        countField({ label: "Tokens to be served", value: state.served_tokens, optional: true, slider: false, placeholder: "none: all compute trains", hint: "Over the model's life; 2 N FLOPs each, paid from the budget.", onInput: (v) => { state.served_tokens = v; changed(true); } }).element,
        select("Transfer scores", matrices.map((one) => [one.id === "published" ? "" : one.id, one.title]), state.matrix ?? "", (v) => { state.matrix = v || null; changed(true); }, { hint: "For laws that know no transfer of their own." }),
        check("Count negative transfer too", state.interference, (on) => { state.interference = on; changed(true); }, "scores of pairs, which need not add up over many"))));
  }

  const costs = h("details", null, h("summary", null, "Cost"),
    h("div", { class: "stack" },
      select("Accelerator", choices.accelerators.map((one) => [one.name, `${one.name}, ${f.digits(one.peak_flops / 1e12, 3)} TFLOP/s peak`]), state.accelerator, (v) => { state.accelerator = v; changed(true); }),
      countField({ label: "Devices at once", value: state.devices, min: 1, max: 1e5, whole: true, onInput: (v) => { state.devices = Math.max(1, Math.round(v)); changed(true); } }).element,
      countField({ label: "Price of one for an hour", value: state.price, optional: true, slider: false, placeholder: "not given", hint: "Prices change weekly, so none is assumed.", onInput: (v) => { state.price = v; changed(true); } }).element));

  function draw() {
    drawLanguages();
    drawHelpers();
    drawBudget();
    drawLaws();
    drawLimits();
  }
  draw();
  const element = h("form", { class: "card question stack", "aria-label": "The question", on: { submit: (event) => event.preventDefault() } }, languages, helpers, h("hr"), budget, h("hr"), laws, limits, costs);
  return { element, refresh: draw };
}

function usedHelpers(context) {
  if (!context.answer) return [];
  return Object.keys(context.answer.mixture).filter((code) => !context.state.targets.includes(code));
}

/** How much text of a language there is; `state.unique` has what was typed. */
export function uniqueField(code, state, changed, { known = entry(code)?.unique_tokens, empty = "not known" } = {}) {
  const input = h("input", {
    type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false", "aria-label": `Distinct tokens of ${name(code)}`,
    placeholder: known ? `${f.count(known)} (est.)` : empty, value: state.unique[code] ? f.typed(state.unique[code]) : "",
    title: known ? `${entry(code).unique_source}; type your own` : "How much text there is; unlimited if left empty",
  });
  input.addEventListener("input", () => {
    const value = f.parseCount(input.value);
    input.setAttribute("aria-invalid", Number.isNaN(value) ? "true" : "false");
    if (Number.isNaN(value)) return;
    if (value === null) delete state.unique[code];
    else state.unique[code] = value;
    changed(true);
  });
  return input;
}

/** `0.3` or `30 %`; null for an empty text, NaN for none. */
export function parseShare(text, most = 1) {
  const trimmed = text.trim();
  if (!trimmed) return null;
  const value = trimmed.endsWith("%") ? Number(trimmed.slice(0, -1)) / 100 : Number(trimmed);
  return Number.isFinite(value) && value >= 0 && value <= most ? value : NaN;
}
