// Small parts that views are made of.

import { copy, download, freshId, h, put, toast } from "../dom.js";
import { csv, duration } from "../format.js";

/** A titled part of a page. */
export function card(title, ...children) {
  const { note, tools, id, level = "h2" } = children[0]?.constructor === Object ? children.shift() : {};
  const heading = h(level, { id }, title);
  return h("section", { class: "card", "aria-label": title },
    h("header", null, h("div", null, heading, note ? h("p", null, note) : null), tools ? h("div", { class: "row" }, tools) : null),
    children);
}

/** The head of a view. */
export function viewHead(title, text, ...tools) {
  return h("div", { class: "view-head" }, h("div", null, h("h1", null, title), h("p", null, text)), h("div", { class: "row no-print" }, tools));
}

/** A failure, with what to try. */
export function failure(error) {
  const said = error.document ?? { problem: error.message };
  return h("div", { class: "notice fail", role: "alert" },
    h("p", null, h("strong", null, sentence(said.problem))),
    said.value || said.where
      ? h("p", { class: "small" }, said.value ? ["Received: ", h("code", null, said.value)] : null, said.where ? [said.value ? ", at " : "At ", h("code", null, said.where)] : null)
      : null,
    said.remedy ? h("p", null, "Try: ", said.remedy) : null,
    error.status === 401 ? h("p", null, h("button", { type: "button", class: "button", on: { click: () => location.reload() } }, "Give the token")) : null);
}

/** A sentence with a capital and an end; a symbol or a code at its beginning stays as it is. */
export function sentence(text) {
  const trimmed = text.trim();
  const [first] = trimmed.split(/[\s:,]/);
  const isName = /[_[\]=0-9]/.test(first) || /^(lam|tau|alpha|beta|phi|psi)$/.test(first);
  const begun = isName ? trimmed : trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return begun + (/[.!?…:]$/.test(trimmed) ? "" : ".");
}

/** Nothing here yet, and what to do about it. */
export function empty(title, text, ...more) {
  return h("div", { class: "card empty" }, h("h2", null, title), h("p", null, text), more);
}

/** What limits an answer and what it rests on. */
export function fineprint(answer) {
  const warnings = answer.warnings ?? [];
  return card("What limits this answer", { note: warnings.length ? null : "Nothing was found that limits it beyond its intervals." },
    noteList(warnings),
    h("p", { class: "muted small rests" }, "Rests on: ", answer.source, "."),
    answer.law ? h("p", { class: "muted small" }, "Law: ", answer.law) : null);
}

/** Notes; of many, the first ones and the others folded. */
export function noteList(notes, most = 7) {
  if (!notes.length) return null;
  const items = (some) => h("ul", { class: "notes" }, some.map((note) => h("li", null, sentence(note))));
  if (notes.length <= most + 2) return items(notes);
  return [items(notes.slice(0, most)), h("details", { class: "more-notes" }, h("summary", null, `${notes.length - most} more`), items(notes.slice(most)))];
}

/**
 * A table. Columns: {title, right, cell(row), value(row), head}; `value` gives the CSV's cell.
 */
export function table(columns, rows, { caption, rowClass, label } = {}) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label ?? caption ?? columns.map((c) => c.title).join(", ") },
    h("table", null,
      caption ? h("caption", null, caption) : null,
      h("thead", null, h("tr", null, columns.map((c) => h("th", { scope: "col", class: c.right ? "right" : null }, c.title)))),
      h("tbody", null, rows.map((row, i) => h("tr", { class: rowClass?.(row, i) },
        columns.map((c, j) => h(j === 0 ? "th" : "td", { scope: j === 0 ? "row" : null, class: c.right ? "right" : null }, c.cell(row, i))))))));
}

/** The numbers of a chart, folded, with a CSV. */
export function numbers(name, columns, rows) {
  const text = () => csv(columns.map((c) => c.title), rows.map((row) => columns.map((c) => (c.value ?? c.cell)(row))));
  return h("details", { class: "numbers" },
    h("summary", null, "Numbers"),
    table(columns, rows, { label: `Numbers of ${name}` }),
    h("button", { type: "button", class: "button quiet", on: { click: () => download(`${name}.csv`, text(), "text/csv") } }, "Download CSV"));
}

/** One number with its name. */
export function figure(name, big, ...subs) {
  return h("div", { class: "figure" }, h("dt", null, name), h("dd", null, h("span", { class: "big" }, big), subs.filter(Boolean).map((sub) => h("span", { class: "sub" }, sub))));
}

/** A status in words, with a shape that does not need colour. */
export function badge(kind, text) {
  return h("span", { class: `badge ${kind}` }, text);
}

/** One of a few, as radio buttons. Options: [value, text, hint?]. */
export function choice(legend, options, value, onChange, { hidden = false } = {}) {
  const name = freshId("choice");
  return h("fieldset", { class: "field" },
    h("legend", { class: hidden ? "unseen" : null }, legend),
    h("div", { class: "choice" }, options.map(([key, text, hint]) =>
      h("label", { title: hint }, h("input", { type: "radio", name, value: key, checked: key === value, on: { change: () => onChange(key) } }), h("span", null, text)))));
}

/** A labelled select. Options: [value, text]. */
export function select(label, options, value, onChange, { hint } = {}) {
  const id = freshId("select");
  const element = h("select", { id, on: { change: (event) => onChange(event.target.value) } },
    options.map(([key, text]) => h("option", { value: key }, text)));
  element.value = value ?? options[0]?.[0] ?? "";
  return h("div", { class: "field" }, h("label", { for: id }, label), element, hint ? h("p", { class: "hint" }, hint) : null);
}

/** A checkbox with its text. */
export function check(text, checked, onChange, hint) {
  return h("label", { class: "check" }, h("input", { type: "checkbox", checked, on: { change: (event) => onChange(event.target.checked) } }),
    h("span", null, text, hint ? h("span", { class: "hint" }, " ", hint) : null));
}

/** A dialog that is removed when it is closed. */
export function dialog(title, ...children) {
  const close = h("button", { type: "button", class: "button", on: { click: () => element.close() } }, "Close");
  const id = freshId("dialog");
  const element = h("dialog", { "aria-labelledby": id }, h("header", null, h("h2", { id }, title), close), children);
  element.addEventListener("close", () => element.remove());
  element.addEventListener("click", (event) => event.target === element && element.close());
  document.body.append(element);
  element.showModal();
  return element;
}

/** A text to copy or keep. */
export function codeBlock(text, { file, what = "text" } = {}) {
  return h("div", { class: "stack" },
    h("pre", { class: "code", tabindex: "0", "aria-label": what }, text),
    h("div", { class: "row" },
      h("button", { type: "button", class: "button primary", on: { click: () => copy(text, `${what} copied`) } }, "Copy"),
      file ? h("button", { type: "button", class: "button", on: { click: () => download(file, text) } }, `Download ${file}`) : null));
}

/** Shows a job and lets it be stopped. */
export function jobProgress(title, onCancel) {
  const what = h("span", { class: "muted small" }, "starting");
  const left = h("span", { class: "muted small num" });
  const fill = h("i");
  const bar = h("div", { class: "bar unknown", role: "progressbar", "aria-label": title, "aria-valuemin": 0, "aria-valuemax": 100 }, fill);
  const element = h("div", { class: "card progress" },
    h("div", { class: "row spread" }, h("strong", null, title), h("button", { type: "button", class: "button", on: { click: onCancel } }, "Cancel")),
    bar, h("div", { class: "row spread" }, what, left));
  return {
    element,
    show(job) {
      put(what, job.what);
      const known = job.total > 0;
      bar.classList.toggle("unknown", !known || job.done === 0);
      if (known) {
        const share = Math.round((100 * job.done) / job.total);
        fill.style.setProperty("width", job.done === 0 ? "" : `${share}%`);
        bar.setAttribute("aria-valuenow", share);
      }
      const ran = job.seconds >= 1 ? `${duration(job.seconds)} so far` : "";
      put(left, job.seconds_left === null ? ran : `${known ? `${job.done} of ${job.total}, ` : ""}about ${duration(job.seconds_left)} left`);
    },
  };
}

/** A line icon. */
export { toast };
