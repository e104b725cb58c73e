// Choosing languages by name: a combobox that searches, as WAI-ARIA describes it.

import { get } from "../api.js";
import { announce, debounce, freshId, h, put } from "../dom.js";
import { count } from "../format.js";
import { name, remember } from "../names.js";

/**
 * @param {object} options label, chosen() -> codes, onPick(language), placeholder, hint(language).
 */
export function languagePicker({ label, chosen, onPick, placeholder = "Search by name or code", hint = describe, hideLabel = false }) {
  const id = freshId("language");
  const listId = `${id}list`;
  let found = [];
  let active = -1;
  const input = h("input", {
    type: "search", id, role: "combobox", autocomplete: "off", spellcheck: "false", placeholder,
    "aria-expanded": "false", "aria-controls": listId, "aria-autocomplete": "list",
  });
  const list = h("ul", { id: listId, role: "listbox", hidden: true, "aria-label": `${label}: found` });

  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const mark = (index) => {
    active = index;
    [...list.children].forEach((option, i) => option.setAttribute("aria-selected", i === index ? "true" : "false"));
    if (index >= 0) {
      input.setAttribute("aria-activedescendant", list.children[index].id);
      list.children[index].scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };
  const pick = (language) => {
    if (chosen().includes(language.code)) return;
    remember([language]);
    input.value = "";
    close();
    onPick(language);
    announce(`${language.name} added`);
  };
  const show = (languages, total) => {
    found = languages;
    const taken = chosen();
    put(list,
      languages.map((language, i) =>
        h("li", {
          id: `${listId}${i}`, role: "option", "aria-selected": "false", "aria-disabled": taken.includes(language.code) ? "true" : null,
          on: { pointerdown: (event) => { event.preventDefault(); pick(language); } },
        }, h("span", null, language.name), h("code", null, language.code), h("small", null, taken.includes(language.code) ? "already chosen" : hint(language)))),
      languages.length ? null : h("li", { role: "option", "aria-disabled": "true", "aria-selected": "false" }, "No language has this name or code."));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark(languages.length ? 0 : -1);
    announce(total ? `${total} found` : "none found");
  };
  let asked = 0;
  const search = debounce(async () => {
    const text = input.value.trim();
    if (!text) return close();
    asked += 1;
    const mine = asked;
    try {
      const answer = await get("/api/languages", { q: text, limit: 12 });
      if (mine === asked && input.value.trim()) show(answer.languages, answer.total);
    } catch {
      close();
    }
  }, 70);
  input.addEventListener("input", search);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) return search();
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (found.length) mark((active + step + found.length) % found.length);
    } else if (event.key === "Enter" && !list.hidden) {
      event.preventDefault();
      if (found[active]) pick(found[active]);
    } else if (event.key === "Escape") close();
  });
  input.addEventListener("blur", close);
  const element = h("div", { class: "field" }, h("label", { for: id, class: hideLabel ? "unseen" : null }, label), h("div", { class: "picker" }, input, list));
  return { element, focus: () => input.focus() };
}

/** Chosen languages as chips, and a search for more. `onChange(codes)`. */
export function chosenLanguages({ label, codes, taken, onChange }) {
  return h("div", { class: "stack tight" },
    languagePicker({ label, chosen: taken, onPick: (language) => onChange([...codes, language.code]) }).element,
    codes.length ? h("ul", { class: "chips" }, codes.map((code) => h("li", { class: "chip" }, name(code),
      h("button", { type: "button", "aria-label": `Remove ${name(code)}`, on: { click: () => onChange(codes.filter((one) => one !== code)) } }, "×")))) : null);
}

/** What the published study knows of a language, in a few words. */
function describe(language) {
  const kin = [language.branch || language.family, language.script].filter(Boolean).join(", ");
  const text = language.unique_tokens === null ? "" : ` · ${count(language.unique_tokens)} distinct tokens known`;
  return kin + (language.in_matrix ? " · in the transfer matrix" : "") + text;
}
