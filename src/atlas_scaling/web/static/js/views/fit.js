// Fit: laws to runs, or to a table that is dropped here; by /api/uploads, /api/jobs and /api/fits.

import { get, runJob, upload } from "../api.js";
import { announce, freshId, h, put, toast } from "../dom.js";
import * as f from "../format.js";
import * as link from "../link.js";
import { learn, name } from "../names.js";
import { card, check, choice, failure, jobProgress, select, viewHead } from "../ui/parts.js";
import { mappingCard, importedCard } from "./fit-mapping.js";
import { codeDialog } from "./expand.js";
import { comparisonCard, fitCard, fitsCard, pooledCard } from "./fit-results.js";

const MOST_TARGETS_ASKED = 6;
const COMMON = ["chinchilla", "atlas", "capacity"];

export async function show(root, params, about) {
  const choices = await get("/api/choices");
  let { fits, data } = await get("/api/fits");
  const wanted = params.get("law");
  const state = {
    data: data.some((one) => one.id === params.get("data")) ? params.get("data") : data[0]?.id ?? null,
    laws: new Set(wanted && choices.laws.some((law) => law.name === wanted) ? [wanted] : ["chinchilla", "atlas"]), variant: "full", targets: [], shared: false, unit: "nats_per_token", bootstrap: 200, shown: params.get("fit"),
  };
  const source = h("div", { class: "stack" });
  const question = h("div", { class: "stack" });
  const work = h("div", { class: "stack" });
  const results = h("div", { class: "answer" });
  let handle = null;
  const write = () => link.write("fit", link.params({ data: state.data && /^[0-9a-f]{16}$/.test(state.data) ? null : state.data, fit: state.shown }));

  async function follow(title, task, then) {
    handle?.cancel();
    const progress = jobProgress(title, () => handle.cancel());
    handle = runJob(task, (job) => progress.show(job));
    put(work, progress.element);
    work.scrollIntoView({ block: "nearest" });
    announce(title);
    try {
      const result = await handle.result;
      put(work);
      if (result) await then(result);
      else toast("cancelled");
    } catch (error) {
      put(work, failure(error));
    }
  }

  // --- data ------------------------------------------------------------------------------------

  function drawSource() {
    put(source,
      data.length ? select("Fit to", data.map((one) => [one.id, `${one.title}${one.n_runs === null ? "" : `, ${f.counted(one.n_runs, "run")}`}`]), state.data, (v) => {
        state.data = v;
        state.targets = [];
        drawQuestion();
        write();
      }) : h("p", { class: "hint" }, "No runs were given to the dashboard, so bring a table."),
      dropZone(about.max_upload_bytes, send));
  }

  async function send(file) {
    const bar = h("i");
    put(results, ...savedList());
    put(work, h("div", { class: "card progress" }, h("strong", null, `Sending ${file.name}`), h("div", { class: "bar", role: "progressbar", "aria-label": "Sending" }, bar)));
    if (file.size > about.max_upload_bytes) {
      return put(work, failure({ document: { problem: `the file is larger than the dashboard takes, ${f.count(about.max_upload_bytes)} bytes`, value: `${file.name}, ${f.count(file.size)} bytes`, remedy: "atlas runs import FILE -o runs.parquet, then atlas serve runs.parquet; or atlas serve --max-upload" } }));
    }
    try {
      const { upload: id } = await upload(file, (sent, total) => bar.style.setProperty("width", `${(100 * sent) / total}%`));
      await follow(`Looking at ${file.name}`, { kind: "preview", upload: id }, (preview) => showMapping(id, file.name, preview));
    } catch (error) {
      put(work, failure(error));
    }
  }

  function showMapping(id, fileName, preview) {
    put(results, mappingCard(fileName, preview, (map) =>
      follow("Importing", { kind: "import", upload: id, map }, async (result) => {
        ({ fits, data } = await get("/api/fits"));
        data = data.map((one) => (one.id === id ? { ...one, title: fileName } : one));
        state.data = id;
        state.targets = [];
        await learn(result.targets);
        drawSource();
        drawQuestion();
        put(results, importedCard(fileName, result), ...savedList());
      })));
  }

  // --- question --------------------------------------------------------------------------------

  async function drawQuestion() {
    const chosen = data.find((one) => one.id === state.data);
    if (!chosen) return put(question);
    await learn(chosen.targets);
    if (!state.targets.length && chosen.targets.length) state.targets = chosen.targets.slice(0, MOST_TARGETS_ASKED);
    const toggle = (set, key) => (on) => {
      if (on) set.add(key);
      else set.delete(key);
    };
    const isCommon = (law) => COMMON.includes(law.name);
    const lawRow = (law) => [
      check(law.title, state.laws.has(law.name), (on) => {
        toggle(state.laws, law.name)(on);
        drawQuestion();
      }, state.laws.has(law.name) ? h("span", { class: "formula" }, law.formula) : null),
      law.name === "atlas" && state.laws.has("atlas") ? h("div", { class: "indent" }, choice("What ATLAS knows", [["full", "all", "the target, chosen helpers and the rest"], ["other", "target and rest"], ["target", "target only"]], state.variant, (v) => { state.variant = v; }, { hidden: true })) : null,
    ];
    put(question,
      h("fieldset", { class: "stack tight" }, h("legend", null, "Laws"), choices.laws.filter(isCommon).map(lawRow),
        h("details", { open: choices.laws.some((law) => !isCommon(law) && state.laws.has(law.name)) }, h("summary", null, "Other laws"), h("div", { class: "stack tight" }, choices.laws.filter((law) => !isCommon(law)).map(lawRow)))),
      chosen.targets.length ? h("fieldset", { class: "stack tight" }, h("legend", null, "Loss on"), h("div", { class: "many" }, chosen.targets.map((code) => check(name(code), state.targets.includes(code), (on) => {
        state.targets = on ? [...state.targets, code] : state.targets.filter((one) => one !== code);
      })))) : h("p", { class: "hint" }, "The table names no language: its losses are fitted as they are."),
      chosen.targets.length > 1 ? choice("Exponents α and β", [["own", "each language its own"], ["shared", "shared by all", "one fit of all chosen languages; E, A, B and the transfer weights stay each one's own"]], state.shared ? "shared" : "own", (v) => { state.shared = v === "shared"; }) : null,
      choice("Unit", [["nats_per_token", "nats per token"], ["bits_per_byte", "bits per byte"]], state.unit, (v) => { state.unit = v; }),
      choice("Intervals from", [[0, "none"], [200, "200 refits"], [1000, "1,000"]], state.bootstrap, (v) => { state.bootstrap = Number(v); }),
      h("div", { class: "row" },
        h("button", { type: "button", class: "button primary", on: { click: startFit } }, "Fit"),
        h("button", { type: "button", class: "button", on: { click: startComparison } }, "Compare on held-out runs"),
        h("button", { type: "button", class: "button", on: { click: copyAs } }, "Copy as…")));
  }

  const lawChoices = () => choices.laws.filter((law) => state.laws.has(law.name)).map((law) => ({ law: law.name, variant: law.name === "atlas" && state.variant !== "full" ? state.variant : null }));
  const shares = () => state.shared && data.find((one) => one.id === state.data)?.targets.length > 1;
  const ready = (sharing) => {
    const chosen = data.find((one) => one.id === state.data);
    if (!state.laws.size) return "Choose at least one law.";
    if (chosen?.targets.length && !state.targets.length) return "Choose at least one language whose loss is fitted.";
    if (sharing && shares() && state.targets.length < 2) return "Exponents are shared by two languages at least: choose another, or let each have its own.";
    return null;
  };
  const guarded = (begin, { sharing = false } = {}) => {
    const problem = ready(sharing);
    if (problem) return put(work, h("p", { class: "notice", role: "alert" }, problem));
    return begin();
  };

  const fitTask = () => ({ kind: "fit", data: state.data, laws: lawChoices(), targets: state.targets, shared: shares() ? ["alpha", "beta"] : [], unit: state.unit, bootstrap: state.bootstrap });

  function copyAs() {
    guarded(() => codeDialog("fit", fitTask(), "/api/fits/code"), { sharing: true });
  }

  function startFit() {
    guarded(() => follow("Fitting", fitTask(), async (result) => {
      ({ fits } = await get("/api/fits"));
      const names = result.fits.flatMap((one) => [one.target, ...Object.keys(one.fit?.parameters ?? {}).map((key) => key.match(/\[(.*)\]/)?.[1])]);
      await learn(names.filter((code) => code && code.includes("_")));
      put(results, result.pooled.map((one) => pooledCard(one, result.fits.find((made) => made.fit).fit.level)), fitsCard(result.fits, fits, saved), ...savedList());
      announce(`${result.fits.length} fits done`);
    }), { sharing: true });
  }

  function startComparison() {
    const task = { kind: "compare", data: state.data, laws: lawChoices(), targets: state.targets, unit: state.unit };
    guarded(() => follow("Scoring laws on held-out runs", task, (result) => {
      put(results, comparisonCard(result, () => codeDialog("compare", task, "/api/fits/code")), ...savedList());
    }));
  }

  // --- fits there are --------------------------------------------------------------------------

  async function saved() {
    ({ fits } = await get("/api/fits"));
    document.getElementById("fits-there")?.replaceWith(...savedList());
  }

  function savedList() {
    if (!fits.length) return [];
    return [h("div", { id: "fits-there" }, card("Fits of this session", { note: `new ones are saved in ${about.saves_to}` },
      h("ul", { class: "rows tall-list", tabindex: fits.length > 12 ? "0" : null }, fits.map((one) => h("li", { class: "saved-row" },
        h("button", { type: "button", class: "link-button", on: { click: () => open(one) } }, one.id),
        h("span", { class: "muted small" }, `${one.law}${one.variant ? ` ${one.variant}` : ""}${one.target ? `, ${name(one.target)}` : ""}, ${f.counted(one.n_rows, "row")} of ${f.counted(one.n_runs, "run")}${one.saved ? "" : ", not saved yet"}`))))))];
  }

  async function open(file) {
    state.shown = file.id;
    write();
    try {
      const fit = await get(`/api/fits/${encodeURIComponent(file.id)}`);
      await learn([fit.target, ...Object.keys(fit.parameters).map((key) => key.match(/\[(.*)\]/)?.[1])].filter((code) => code && code.includes("_")));
      put(results, fitCard({ id: file.id, law: fit.law, target: fit.target, fit }, file, saved), ...savedList());
    } catch (error) {
      put(results, failure(error));
    }
  }

  await learn(fits.map((one) => one.target).filter(Boolean));
  root.append(
    viewHead("Fit", "Laws fitted to your runs, or to a table of somebody else's: parameters with intervals, and what the data can tell."),
    h("div", { class: "split" }, h("form", { class: "card question stack", "aria-label": "What is fitted", on: { submit: (event) => event.preventDefault() } }, source, h("hr"), question), h("div", { class: "answer" }, work, results)));
  drawSource();
  await drawQuestion();
  const first = fits.find((one) => one.id === state.shown);
  if (first) await open(first);
  else if (fits.length) put(results, ...savedList());
  else put(results, h("div", { class: "card empty" }, h("h2", null, "Nothing is fitted yet"), h("p", null, data.length ? "Choose laws and languages on the left, then Fit." : "Drop a CSV or Parquet file on the left: one row an evaluation, with parameters, tokens and a loss. Columns are matched in the next step.")));
  write();
  return () => handle?.cancel();
}

function dropZone(most, send) {
  const id = freshId("file");
  const input = h("input", { type: "file", id, class: "unseen", accept: ".csv,.tsv,.jsonl,.ndjson,.parquet,.pq", on: { change: () => input.files[0] && send(input.files[0]) } });
  const zone = h("label", { class: "drop", for: id }, input, h("strong", null, "Drop a table of runs here"), h("span", null, "or choose a file"), h("small", null, `CSV, TSV, JSON lines or Parquet, up to ${f.count(most)} bytes. It stays on this machine.`));
  const over = (on) => (event) => {
    event.preventDefault();
    zone.classList.toggle("over", on);
  };
  zone.addEventListener("dragenter", over(true));
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => {
    over(false)(event);
    const file = event.dataTransfer.files[0];
    if (file) send(file);
  });
  return zone;
}

