// The page: which view is shown, the theme, and what the server has.

import { get } from "./api.js";
import { announce, h, put, s } from "./dom.js";
import { read } from "./link.js";
import { failure } from "./ui/parts.js";

const VIEWS = {
  plan: ["Plan", () => import("./views/plan.js")],
  expand: ["Expand", () => import("./views/expand.js")],
  start: ["Start", () => import("./views/start.js")],
  stages: ["Stages", () => import("./views/stages.js")],
  transfer: ["Transfer", () => import("./views/transfer.js")],
  runs: ["Runs", () => import("./views/runs.js")],
  fit: ["Fit", () => import("./views/fit.js")],
  next: ["What next", () => import("./views/next.js")],
};

const main = document.getElementById("main");
const nav = document.getElementById("nav");
let leave = null;
let turn = 0;

async function show() {
  turn += 1;
  const mine = turn;
  const { view, params } = read();
  const [title, load] = VIEWS[view] ?? VIEWS.plan;
  leave?.();
  leave = null;
  for (const link of nav.children) {
    if (link.dataset.view === (VIEWS[view] ? view : "plan")) {
      link.setAttribute("aria-current", "page");
      nav.scrollLeft = link.offsetLeft - nav.offsetLeft - (nav.clientWidth - link.offsetWidth) / 2;
    } else link.removeAttribute("aria-current");
  }
  document.title = `${title} · atlas`;
  try {
    const [module, about] = await Promise.all([load(), get("/api/session")]);
    if (mine !== turn) return;
    const root = h("div", { class: `view view-${view}` });
    const left = await module.show(root, params, about);
    if (mine !== turn) return left?.();
    leave = left ?? null;
    put(main, about.notes.map((note) => h("div", { class: "notice warn" }, note)), root);
    root.dispatchEvent(new CustomEvent("shown"));
  } catch (error) {
    if (mine === turn) put(main, failure(error), h("p", { class: "row" }, h("button", { class: "button", on: { click: show } }, "Try again")));
  }
}

const THEMES = {
  auto: ["Theme: as the system", "M12 3a9 9 0 1 0 0 18zM12 3v18a9 9 0 0 0 0-18z"],
  light: ["Theme: light", "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2.5M12 19.500v2.500M2 12h2.500M19.500 12H22M5 5l1.700 1.700M17.300 17.300 19 19M19 5l-1.700 1.700M6.700 17.300 5 19"],
  dark: ["Theme: dark", "M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500z"],
};

function themeButton() {
  const button = document.getElementById("theme");
  const draw = () => {
    const name = document.documentElement.dataset.theme ?? "auto";
    const [label, path] = THEMES[name];
    button.setAttribute("aria-label", label);
    button.title = label;
    put(button, s("svg", { viewBox: "0 0 24 24", fill: name === "auto" ? "currentColor" : "none", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" },
      name === "auto" ? [s("circle", { cx: 12, cy: 12, r: 8.5, fill: "none" }), s("path", { d: "M12 3.5a8.500 8.500 0 0 1 0 17z" })] : s("path", { d: path })));
  };
  button.addEventListener("click", () => {
    const order = Object.keys(THEMES);
    const next = order[(order.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % order.length];
    if (next === "auto") {
      delete document.documentElement.dataset.theme;
      localStorage.removeItem("atlas.theme");
    } else {
      document.documentElement.dataset.theme = next;
      localStorage.setItem("atlas.theme", next);
    }
    draw();
    announce(THEMES[next][0]);
    document.dispatchEvent(new CustomEvent("themechange"));
  });
  draw();
}

put(nav, Object.entries(VIEWS).map(([view, [title]]) => h("a", { href: `#/${view}`, data: { view } }, title)));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
themeButton();
addEventListener("hashchange", show);
show();
