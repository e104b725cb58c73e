// A count: a slider over powers of ten, and the number itself to read and to type.

import { freshId, h } from "../dom.js";
import { parseCount, typed } from "../format.js";

const STEPS = 600;

/**
 * @param {object} options label, value (or null), min, max (of the slider), onInput(value, settled),
 *   optional (an empty field means null), placeholder, hint, slider (default true), words(value).
 */
export function countField({ label, value, min = 1, max = 1e3, onInput, optional = false, placeholder, hint, slider = true, words = typed, whole = false }) {
  const id = freshId("count");
  const low = Math.log10(min);
  const high = Math.log10(max);
  const problem = h("p", { class: "problem", id: `${id}p`, hidden: true });
  const text = h("input", { type: "text", id, inputmode: "decimal", autocomplete: "off", spellcheck: "false", value: value === null ? "" : words(value), placeholder, "aria-describedby": `${id}p` });
  const range = slider
    ? h("input", { type: "range", min: 0, max: STEPS, step: 1, "aria-label": `${label}, slider` })
    : null;

  const place = (count) => {
    if (!range) return;
    const at = count === null ? 0 : Math.round(((Math.log10(count) - low) / (high - low)) * STEPS);
    range.value = Math.max(0, Math.min(STEPS, at));
    range.style.setProperty("--filled", `${(100 * range.value) / STEPS}%`);
    range.setAttribute("aria-valuetext", count === null ? "not given" : words(count));
  };
  const complain = (message) => {
    problem.textContent = message ?? "";
    problem.hidden = !message;
    text.setAttribute("aria-invalid", message ? "true" : "false");
  };
  const fromSlider = () => {
    const exact = 10 ** (low + ((high - low) * range.value) / STEPS);
    const rounded = Number(exact.toPrecision(exact < 1000 && whole ? Math.max(1, Math.ceil(Math.log10(exact + 1))) : 2));
    text.value = words(rounded);
    complain(null);
    place(rounded);
    return rounded;
  };
  range?.addEventListener("input", () => onInput(fromSlider(), false));
  range?.addEventListener("change", () => onInput(fromSlider(), true));
  text.addEventListener("input", () => {
    const count = parseCount(text.value);
    if (count === null) {
      if (optional) {
        complain(null);
        onInput(null, true);
      } else complain("This number is needed.");
    } else if (Number.isNaN(count)) complain("Write it like 2e9, 2B, 400M or 1_000_000.");
    else {
      complain(null);
      place(count);
      onInput(count, true);
    }
  });
  place(value);

  const element = h("div", { class: slider ? "count" : "field" }, h("label", { for: id }, label), range, text, hint ? h("p", { class: "hint" }, hint) : null, problem);
  return {
    element,
    set(count) {
      text.value = count === null ? "" : words(count);
      complain(null);
      place(count);
    },
  };
}
