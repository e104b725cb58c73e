// Runs: a study while it goes on; by /api/runs. Thousands of rows: only those in sight are drawn
// and fetched.

import { get } from "../api.js";
import { plot } from "../charts/plot.js";
import { debounce, h, put } from "../dom.js";
import * as f from "../format.js";
import * as link from "../link.js";
import { learn, name, shortName } from "../names.js";
import { badge, card, check, choice, codeBlock, dialog, empty, failure, numbers, select, viewHead } from "../ui/parts.js";

const PAGE = 100;
const ROW = 46;
const MOST_CURVES = 8;
const STATES = {
  running: ["told", "running"], done: ["told", "done"], queued: ["idle", "queued"], waiting: ["idle", "waiting"], stopped: ["weak", "stopped"], failed: ["untold", "failed"], lost: ["untold", "lost"],
};
const SORTS = [["", "design"], ["run_id", "name"], ["state", "state"], ["progress", "progress"], ["n_params", "size"], ["tokens_per_second", "tokens/s"], ["seconds_left", "time left"], ["updated_at", "last heard of"]];

export async function show(root, params, about) {
  const head = viewHead("Runs", "A study while it goes on: where every run stands, how fast it is, when it will be done.");
  if (!about.has_runs) {
    root.append(head, empty("No runs in this session", "Start the dashboard on a folder of runs or on a study's folder, finished or not. A small study on real text comes with the package:",
      h("pre", { class: "code" }, "atlas demo --output atlas-demo\natlas serve atlas-demo")));
    return undefined;
  }
  const state = {
    q: params.get("q") ?? "", states: link.list(params, "state") ?? [], group: params.get("group") ?? "", size: params.get("size") ?? "", language: params.get("l") ?? "",
    sort: params.get("sort") ?? "", descending: params.has("desc"), chosen: link.list(params, "runs") ?? [], evaluated: params.get("on"), unit: params.get("unit") === "bits" ? "bits" : "nats",
  };
  const query = () => ({ q: state.q, state: state.states, group: state.group, size: state.size, language: state.language, sort: state.sort, descending: state.descending });
  const write = () => link.write("runs", link.params({ q: state.q, state: state.states, group: state.group, size: state.size, l: state.language, sort: state.sort, desc: state.descending, runs: state.chosen, on: state.evaluated, unit: state.unit === "bits" ? "bits" : null }));

  const summary = h("div");
  const engines = h("div");
  const filters = h("div", { class: "card tools" });
  const tablePlace = h("div");
  const curvePlace = h("div");
  const problem = h("div");
  const list = virtualTable((offset) => get("/api/runs", { ...query(), offset, limit: PAGE }), row, "Runs");
  let version = -1;
  let timer = 0;
  let alive = true;

  function row(run, i) {
    const [kind, text] = STATES[run.state] ?? ["idle", run.state];
    const done = run.tokens_planned ? Math.min(1, run.tokens / run.tokens_planned) : 0;
    const picked = state.chosen.includes(run.run_id);
    const bar = h("span", { class: "bar" }, h("i", { style: { width: `${100 * done}%` } }));
    const shares = Object.entries(run.mixture).sort((a, b) => b[1] - a[1]);
    const words = shares.length > 3 ? f.counted(shares.length, "language") : shares.map(([code]) => shortName(code)).join(", ");
    return [
      h("span", { role: "cell", class: "c-pick" }, h("input", { type: "checkbox", checked: picked, "aria-label": `Draw ${run.run_id}`, on: { change: (event) => pick(run.run_id, event.target) } })),
      h("span", { role: "cell", class: "c-name" }, h("button", { type: "button", class: "link-button", on: { click: () => record(run.run_id) } }, run.run_id), h("small", null, `${run.group} · ${words}${run.base_run ? " · continued" : ""}`)),
      h("span", { role: "cell", class: "c-size num" }, f.count(run.n_params)),
      h("span", { role: "cell", class: "c-state" }, badge(kind, text), stateNote(run)),
      h("span", { role: "cell", class: "c-progress num" }, bar, h("small", null, h("span", { class: "narrow-only" }, `${text}, `), `${f.count(run.tokens)} of ${f.count(run.tokens_planned)}`)),
      h("span", { role: "cell", class: "c-speed num" }, run.tokens_per_second ? f.count(run.tokens_per_second) : f.MISSING),
      h("span", { role: "cell", class: "c-left num" }, run.state === "running" ? f.duration(run.seconds_left) : f.MISSING),
    ];
  }

  function pick(runId, box) {
    if (state.chosen.includes(runId)) state.chosen = state.chosen.filter((one) => one !== runId);
    else if (state.chosen.length < MOST_CURVES) state.chosen.push(runId);
    else {
      box.checked = false;
      return put(problem, h("p", { class: "notice" }, `At most ${MOST_CURVES} curves can be told apart; take one off first.`));
    }
    put(problem);
    write();
    curves();
  }

  async function refresh(fresh) {
    try {
      const page = await list.load(fresh);
      if (page.version !== version || fresh) {
        version = page.version;
        await learn(page.languages);
        put(summary, summaryCard(page, query()));
        drawFilters(page);
      }
      put(engines, page.studies.map(engineLine));
      if (problem.firstChild?.getAttribute?.("role") === "alert") put(problem);
    } catch (error) {
      put(problem, failure(error));
    }
  }
  const again = debounce(() => {
    write();
    refresh(true);
  }, 120);

  let drawnFilters = "";
  function drawFilters(page) {
    const key = JSON.stringify([page.groups, page.sizes, page.languages]);
    if (key === drawnFilters) return;
    drawnFilters = key;
    const set = (field) => (value) => {
      state[field] = value;
      again();
    };
    put(filters, h("div", { class: "row" },
      h("div", { class: "field" }, h("label", { for: "runs-q" }, "Name"), h("input", { type: "search", id: "runs-q", value: state.q, placeholder: "Part of a run's name", on: { input: (event) => set("q")(event.target.value.trim()) } })),
      select("Kind", [["", "all"], ...page.groups.map((one) => [one, one])], state.group, set("group")),
      select("Size", [["", "all"], ...page.sizes.map((one) => [String(one), `${f.count(one)} parameters`])], state.size, set("size")),
      select("Trained on", [["", "any language"], ...page.languages.map((code) => [code, name(code)])], state.language, set("language")),
      select("Order by", SORTS, state.sort, set("sort")),
      check("Reversed", state.descending, set("descending")),
      h("fieldset", { class: "states" }, h("legend", { class: "unseen" }, "States to show"), Object.keys(STATES).map((one) =>
        check(STATES[one][1], !state.states.length || state.states.includes(one), (on) => {
          const all = Object.keys(STATES);
          const now = new Set(state.states.length ? state.states : all);
          if (on) now.add(one);
          else now.delete(one);
          state.states = now.size === all.length ? [] : [...now];
          again();
        })))));
  }

  async function curves() {
    if (!state.chosen.length) {
      return put(curvePlace, h("section", { class: "card", "aria-label": "Loss curves" }, h("h2", null, "Loss curves"), h("p", { class: "muted" }, "Tick runs in the table to draw their losses here.")));
    }
    try {
      const { curves: found } = await get("/api/runs/curves", { run: state.chosen });
      const languages = [...new Set(found.map((one) => one.language))];
      await learn(languages);
      if (!languages.includes(state.evaluated)) state.evaluated = mostTrained(state.chosen, languages) ?? languages[0];
      write();
      put(curvePlace, curvesCard(found.filter((one) => one.language === state.evaluated), languages, state, (change) => {
        Object.assign(state, change);
        curves();
      }));
    } catch (error) {
      if (error.status === 422) {
        state.chosen = [];
        write();
      }
      put(curvePlace, failure(error));
    }
  }

  const tick = async () => {
    if (!alive) return;
    if (document.visibilityState === "visible") {
      const before = version;
      await refresh(false);
      if (version !== before && state.chosen.length) await curves();
    }
    if (alive) timer = setTimeout(tick, 2000);
  };

  put(tablePlace, list.element);
  root.append(head, summary, engines, filters, problem, h("section", { class: "card flush", "aria-label": "Table of runs" }, tablePlace), curvePlace);
  await refresh(true);
  await curves();
  timer = setTimeout(tick, 2000);
  return () => {
    alive = false;
    clearTimeout(timer);
    again.cancel();
  };
}

/** Why a run stands where it does, and in which job. */
function stateNote(run) {
  // an engine knows whether the process lives; without one only its last word tells
  const parts = [run.reason ?? (run.state === "running" && run.host === null ? heard(run.updated_at) : ""), run.job ? `job ${run.job}` : ""].filter(Boolean);
  return parts.length ? h("small", { title: parts.join("\n") }, parts.join(", ")) : null;
}

/** What carries a study out, and what it said of the runs that are not done. */
function engineLine(study) {
  const { states } = study;
  const told = Object.keys(STATES).filter((one) => states[one] && one !== "done" && one !== "waiting").map((one) => `${states[one]} ${STATES[one][1]}`);
  const where = { local: "on this machine", slurm: "by SLURM", ray: "by Ray" }[study.engine] ?? (study.engine ? `by ${study.engine}` : "");
  const again = states.lost || states.failed || states.stopped;
  return h("div", { class: "engine stack tight" },
    study.warnings.map((text) => h("p", { class: "notice warn" }, text.replace(/\n\s*/g, "; "))),
    h("p", { class: "muted small" }, h("strong", null, study.study), ` is carried out ${where}`.trimEnd() + (study.engine ? `: ${told.length ? f.listed(told) : "nothing is in hand"}` : study.warnings.length ? "" : "; its engine is being asked"),
      study.asked_seconds_ago === null ? "" : `, asked ${study.asked_seconds_ago < 2 ? "now" : `${f.duration(study.asked_seconds_ago)} ago`}`, ". ",
      again ? ["What is lost, failed or stopped goes on with ", h("code", null, study.resume), "."] : null));
}

const mostTrained = (chosen, languages) => languages.find((code) => chosen.some((id) => id.includes(code)));

function heard(updatedAt) {
  const seconds = (Date.now() - Date.parse(updatedAt ?? "")) / 1000;
  return seconds > 90 ? `silent for ${f.duration(seconds)}` : "";
}

function summaryCard(page, query) {
  const share = page.tokens_planned ? page.tokens / page.tokens_planned : 0;
  const filtered = query.q || query.group || query.size || query.language || query.state.length;
  const states = Object.entries(page.states).map(([state, n]) => badge(STATES[state]?.[0] ?? "idle", `${n.toLocaleString("en")} ${STATES[state]?.[1] ?? state}`));
  return h("section", { class: "card", "aria-label": "Progress" },
    h("div", { class: "row spread" }, h("strong", null, `${f.counted(page.total, "run")}${filtered ? " by this filter" : ""}`), h("div", { class: "row states-row" }, states)),
    h("div", { class: "bar tall", role: "progressbar", "aria-label": "Tokens trained", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * share) }, h("i", { style: { width: `${100 * share}%` } })),
    h("div", { class: "row spread small muted num" },
      h("span", null, `${f.count(page.tokens)} of ${f.count(page.tokens_planned)} tokens trained, ${f.percent(share)}`),
      h("span", null, page.tokens_per_second ? `${f.count(page.tokens_per_second)} tokens/s, about ${f.duration(page.seconds_left)} left at this speed` : share >= 1 ? "all done" : "nothing is running")),
    page.notes.length ? h("details", { open: !page.total }, h("summary", null, `${f.counted(page.notes.length, "directory")} could not be read`.replace("directorys", "directories")), h("ul", { class: "notes" }, page.notes.slice(0, 50).map((note) => h("li", null, note)))) : null);
}

function curvesCard(curves, languages, state, change) {
  const bits = state.unit === "bits";
  const values = (one) => (bits ? one.bits_per_byte : one.loss);
  const unit = bits ? "bits per byte" : "nats per token";
  const series = curves.map((one, i) => ({
    name: one.run_id, index: i,
    points: one.tokens.map((tokens, k) => ({ x: tokens, y: values(one)[k], hollow: one.lr_state[k] !== "stable", tip: `${one.run_id}\n${f.count(tokens)} tokens: ${f.fixed(values(one)[k], 3)} ${unit}\nlearning rate ${one.lr_state[k]}` })).filter((p) => p.x > 0),
  }));
  return card("Loss curves", { note: `on ${name(state.evaluated)}` },
    h("div", { class: "tools" }, h("div", { class: "row" },
      select("Evaluated on", languages.map((code) => [code, name(code)]), state.evaluated, (v) => change({ evaluated: v })),
      choice("Unit", [["nats", "nats per token"], ["bits", "bits per byte"]], state.unit, (v) => change({ unit: v })),
      h("button", { type: "button", class: "button", on: { click: () => change({ chosen: [] }) } }, "Clear"))),
    series.some((one) => one.points.length)
      ? plot({ label: `Loss of ${series.map((one) => one.name).join(", ")} over tokens`, height: 340, x: { scale: "log", title: "tokens", format: (v) => f.count(v) }, y: { scale: "log", title: unit, format: (v, all) => f.digits(v, all.length > 1 && all[1] - all[0] < 0.1 ? 3 : 2) }, series })
      : h("p", { class: "muted" }, "No evaluation yet."),
    h("p", { class: "hint" }, "Hollow: the learning rate was not stable. Compare losses of different tokenizers in bits per byte only."),
    numbers("loss-curves", [{ title: "run", cell: (r) => r.run }, { title: "tokens", right: true, cell: (r) => f.count(r.tokens), value: (r) => r.tokens }, { title: unit, right: true, cell: (r) => f.fixed(r.value, 3), value: (r) => r.value }, { title: "learning rate", cell: (r) => r.state }],
      curves.flatMap((one) => one.tokens.map((tokens, k) => ({ run: one.run_id, tokens, value: values(one)[k], state: one.lr_state[k] })))));
}

async function record(runId) {
  const body = h("div", { class: "stack" }, h("p", { class: "muted" }, "Reading…"));
  dialog(runId, body);
  try {
    const detail = await get(`/api/runs/${encodeURIComponent(runId)}`);
    await learn(Object.keys(detail.line.mixture));
    const { line } = detail;
    const fact = (term, text) => h("div", null, h("dt", null, term), h("dd", null, text));
    const tokenizer = detail.record?.tokenizer;
    put(body, detail.notes.map((note) => h("p", { class: "notice warn" }, note)),
      h("dl", { class: "facts" },
        fact("State", badge(...(STATES[line.state] ?? ["idle", line.state]))), line.reason ? fact("Reason", line.reason) : null, line.job ? fact("Job", line.job) : null, line.host ? fact("Machine", line.host) : null,
        fact("Mixture", Object.entries(line.mixture).sort((a, b) => b[1] - a[1]).slice(0, 12).map(([code, share]) => `${name(code)} ${f.percent(share)}`).join(", ")),
        fact("Size", `${f.count(line.n_params)} parameters${detail.record ? `, ${f.count(detail.record.n_params_non_embedding)} without embeddings` : ""}`),
        fact("Tokens", `${f.count(line.tokens)} of ${f.count(line.tokens_planned)}`),
        line.base_run ? fact("Continues", line.base_run) : null,
        tokenizer ? fact("Tokenizer", `${tokenizer.name}, ${f.count(tokenizer.vocab_size)} pieces`) : null,
        detail.record ? fact("Code", `atlas-scaling ${detail.record.code.version}${detail.record.code.commit ? `, ${detail.record.code.commit.slice(0, 10)}${detail.record.code.dirty ? ", changed" : ""}` : ""}`) : null,
        detail.path ? fact("Folder", h("code", null, detail.path)) : null),
      detail.record ? h("details", null, h("summary", null, "run.json"), codeBlock(JSON.stringify(detail.record, null, 2), { file: `${runId}.json`, what: "record" })) : null,
      detail.status ? h("details", null, h("summary", null, "status.json"), codeBlock(JSON.stringify(detail.status, null, 2), { what: "status" })) : null);
  } catch (error) {
    put(body, failure(error));
  }
}

/** A table of any length: rows in sight and a few more. `fetch(offset)` gives a page. */
function virtualTable(fetch, row, label) {
  const pages = new Map();
  let total = 0;
  const spacer = h("div", { class: "v-spacer", role: "rowgroup" });
  const heads = [["c-pick", "draw"], ["c-name", "run"], ["c-size num", "size"], ["c-state", "state"], ["c-progress", "tokens"], ["c-speed num", "tokens/s"], ["c-left num", "time left"]];
  const header = h("div", { class: "v-row v-head", role: "row" }, heads.map(([kind, text]) => h("span", { role: "columnheader", class: kind }, text)));
  const box = h("div", { class: "v-box", tabindex: "0", role: "group", "aria-label": `${label}, scrolls` }, h("div", { role: "table", "aria-label": label }, h("div", { role: "rowgroup", class: "v-headgroup" }, header), spacer));
  const asked = new Set();

  function draw() {
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 6);
    const last = Math.min(total, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + 6);
    const focused = document.activeElement?.closest?.(".v-row")?.dataset.i;
    const rows = [];
    for (let i = first; i < last; i += 1) {
      const page = Math.floor(i / PAGE);
      const run = pages.get(page)?.[i % PAGE];
      if (!run) want(page);
      const line = h("div", { class: "v-row", role: "row", "aria-rowindex": i + 2, data: { i } }, run ? row(run, i) : h("span", { role: "cell", class: "muted" }, "…"));
      line.style.setProperty("top", `${i * ROW}px`);
      rows.push(line);
    }
    const kept = focused === undefined ? null : focusPlace();
    put(spacer, rows);
    spacer.style.setProperty("height", total ? `${total * ROW}px` : "auto");
    if (kept) refocus(kept);
    if (!total) put(spacer, h("p", { class: "muted v-none" }, "No run meets this filter."));
  }
  const focusPlace = () => {
    const element = document.activeElement;
    const line = element.closest(".v-row");
    return { i: line.dataset.i, tag: element.tagName };
  };
  const refocus = ({ i, tag }) => spacer.querySelector(`.v-row[data-i="${i}"] ${tag === "INPUT" ? "input" : "button"}`)?.focus({ preventScroll: true });

  async function want(page) {
    if (asked.has(page)) return;
    asked.add(page);
    try {
      const found = await fetch(page * PAGE);
      pages.set(page, found.runs);
      total = found.total;
      draw();
    } finally {
      asked.delete(page);
    }
  }
  let frame = 0;
  box.addEventListener("scroll", () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(draw);
  });
  new ResizeObserver(() => draw()).observe(box);
  return {
    element: box,
    /** The page in sight anew; `fresh` forgets the others and goes to the top. */
    async load(fresh) {
      if (fresh) {
        pages.clear();
        box.scrollTop = 0;
      }
      const page = Math.floor(box.scrollTop / ROW / PAGE);
      const found = await fetch(page * PAGE);
      for (const other of [...pages.keys()]) if (Math.abs(other - page) > 1) pages.delete(other);
      pages.set(page, found.runs);
      total = found.total;
      box.querySelector('[role="table"]').setAttribute("aria-rowcount", total + 1);
      draw();
      return found;
    },
  };
}
