// Which column of a table holds what: guesses of the importer, to be mended.

import { h, put } from "../dom.js";
import * as f from "../format.js";
import { name } from "../names.js";
import { card, failure, noteList, select, table } from "../ui/parts.js";

const FIELDS = [
  ["loss", "Loss", true, "or a column a language: loss/{language}"], ["n_params", "Parameters", true], ["tokens", "Training tokens", true], ["run_id", "Run", false, "evaluations of one run belong together"],
  ["step", "Step"], ["language", "Language of the loss"], ["mixture", "Mixture", false, "a column a language: w_{language}"], ["bits_per_byte", "Bits per byte"], ["lr_state", "State of the learning rate"],
  ["unique_tokens", "Distinct tokens"], ["flops", "FLOPs"], ["seed", "Seed"], ["base_run", "Run it continues"], ["tokens_per_step", "Tokens a step"],
];
const FACTS = [["n_params", "Parameters", "2B"], ["language", "Language of the loss", "swe_Latn"], ["mixture", "Trained on", "swe_Latn"], ["tokens_per_step", "Tokens a step", "524288"]];
const UNITS = [["", "not said: nats per token"], ["nats_per_token", "nats per token"], ["bits_per_token", "bits per token"], ["bits_per_byte", "bits per byte"], ["perplexity", "perplexity"]];
const PATTERN = "\u0000";

/** The table's columns, and what each is; `onImport(map)` with a column map. */
export function mappingCard(fileName, preview, onImport) {
  const map = structuredClone(preview.map);
  map.columns ??= {};
  map.set ??= {};
  const names = preview.columns.map((one) => one.name);
  const body = h("div", { class: "mapping" });

  const fieldRow = ([key, text, needed, hint]) => {
    const now = map.columns[key];
    const isPattern = typeof now === "string" && now.includes("{");
    const slots = ["loss", "bits_per_byte", "mixture", "unique_tokens"].includes(key);
    const options = [["", needed ? "choose a column" : "none"], ...names.map((one) => [one, one]), ...(slots ? [[PATTERN, "one column a language …"]] : []), ...(Array.isArray(now) ? [[now.join(" + "), now.join(" + ")]] : [])];
    const set = (value) => {
      if (value === "") delete map.columns[key];
      else map.columns[key] = value === PATTERN ? patternOf(key, names) : value;
      draw();
    };
    const field = select(needed ? `${text}, needed` : text, options, isPattern ? PATTERN : Array.isArray(now) ? now.join(" + ") : now ?? "", set, { hint });
    if (isPattern) {
      field.append(h("input", { type: "text", value: now, "aria-label": `Pattern of ${text}`, spellcheck: "false", on: { change: (event) => { map.columns[key] = event.target.value.trim(); } } }));
    }
    return field;
  };

  function draw() {
    const stated = FACTS.filter(([key]) => !(key in map.columns));
    put(body,
      preview.problem ? h("div", null, h("p", { class: "hint" }, "As it stands the table cannot be imported:"), failure({ document: { ...preview.problem, remedy: "say below which column it is, or what no column says" } })) : h("p", { class: "notice" }, "The importer understands this table. Look over what it took each column for, then import."),
      h("div", { class: "map-grid" }, FIELDS.map(fieldRow)),
      stated.length ? h("fieldset", null, h("legend", null, "What no column says"), h("div", { class: "map-grid" }, stated.map(([key, text, example]) => h("div", { class: "field" }, h("label", null, text,
        h("input", { type: "text", placeholder: `such as ${example}`, value: map.set[key] ?? "", on: { change: (event) => {
          const value = event.target.value.trim();
          if (value) map.set[key] = value;
          else delete map.set[key];
        } } })))))) : null,
      h("div", { class: "map-grid" }, select("The loss is in", UNITS, map.loss_unit ?? "", (v) => {
        if (v) map.loss_unit = v;
        else delete map.loss_unit;
      })),
      h("div", { class: "row" }, h("button", { type: "button", class: "button primary", on: { click: () => onImport(map) } }, "Import")));
  }
  draw();
  return card(`Columns of ${fileName}`, { note: `${f.counted(names.length, "column")}, ${f.count(preview.bytes)} bytes` }, body,
    h("details", { class: "numbers" }, h("summary", null, "First rows"),
      table(preview.columns.slice(0, 30).map((one, i) => ({ title: one.name, cell: (r) => r[i] ?? h("span", { class: "muted" }, "empty") })), rowsOf(preview.columns.slice(0, 30)), { label: "First rows of the table" })));
}

const rowsOf = (columns) => (columns[0]?.sample ?? []).map((_, r) => columns.map((one) => one.sample[r]));

/** A pattern that fits the table's own columns, such as `loss/{language}`. */
function patternOf(key, names) {
  const stem = { mixture: "w_", unique_tokens: "u_" }[key] ?? "loss";
  const like = names.find((one) => one.startsWith(stem) && one.length > stem.length);
  if (!like) return `${stem}{language}`;
  const cut = like.search(/[a-z]{2,3}([_-][A-Z][a-z]{3})?$/);
  return cut > 0 ? `${like.slice(0, cut)}{language}` : `${stem}{language}`;
}

/** What became of every row. */
export function importedCard(fileName, result) {
  const { summary } = result;
  const dropped = summary.dropped.reduce((sum, one) => sum + one.rows, 0);
  return card(`Imported ${fileName}`, { note: `${f.counted(summary.kept, "row")} of ${summary.found.toLocaleString("en")} kept, ${f.counted(summary.n_runs, "run")}${summary.languages.length ? `, ${f.counted(summary.languages.length, "language")}` : ""}` },
    dropped ? table([{ title: "left out", cell: (r) => r.reason }, { title: "rows", right: true, cell: (r) => r.rows.toLocaleString("en") }, { title: "first at", cell: (r) => r.first.map((place) => place.split("/").at(-1).replace(/^[0-9a-f]{16}/, fileName)).join(", ") }], summary.dropped, { label: "Rows left out" }) : h("p", null, "No row was left out."),
    noteList(summary.notes),
    h("p", { class: "hint" }, `Now choose laws on the left${summary.languages.length ? ` and languages (${f.listed(summary.languages.slice(0, 5).map(name))}${summary.languages.length > 5 ? " and others" : ""})` : ""}, then Fit.`));
}
