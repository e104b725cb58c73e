"use strict";
(() => {
  const tip = document.getElementById("tip");
  const dialog = document.getElementById("enlarged");
  const stage = document.getElementById("stage");

  // What a mark says of itself, under the pointer.
  const place = (event) => {
    const mark = event.target.closest?.("[data-tip]");
    tip.hidden = !mark;
    if (!mark) return;
    const home = dialog.open ? dialog : document.body;
    if (tip.parentNode !== home) home.append(tip);
    tip.textContent = mark.dataset.tip;
    const { innerWidth: w, innerHeight: h } = window;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(event.clientX + 12, w - box.width - 6)) + "px";
    const below = event.clientY + 16;
    tip.style.top = (below + box.height > h ? event.clientY - box.height - 10 : below) + "px";
  };
  document.addEventListener("pointermove", place);
  document.addEventListener("pointerdown", place);
  document.addEventListener("scroll", () => (tip.hidden = true), true);

  // One picture in a dialog, zoomed and moved through its viewBox.
  let svg, whole, view;
  const show = () => svg.setAttribute("viewBox", view.join(" "));
  const zoom = (factor, x = 0.5, y = 0.5) => {
    const size = Math.min(Math.max(view[2] * factor, whole[2] / 30), whole[2] * 1.5);
    const f = size / view[2];
    view = [view[0] + view[2] * x * (1 - f), view[1] + view[3] * y * (1 - f), size, view[3] * f];
    show();
  };
  const move = (dx, dy) => {
    view = [view[0] + dx * view[2], view[1] + dy * view[3], view[2], view[3]];
    show();
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".enlarge");
    if (!button) return;
    svg = button.parentNode.querySelector("svg").cloneNode(true);
    svg.removeAttribute("width");
    svg.removeAttribute("height");
    whole = svg.getAttribute("viewBox").split(" ").map(Number);
    view = whole.slice();
    stage.replaceChildren(svg);
    dialog.showModal();
  });
  document.getElementById("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => (tip.hidden = true));
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    const at = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    zoom(Math.exp(event.deltaY / 400), ...at);
  }, { passive: false });
  const fingers = new Map();
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  stage.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const before = fingers.size === 2 ? spread() : 0;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size === 2) zoom(before / spread());
    else move((last[0] - event.clientX) / stage.clientWidth, (last[1] - event.clientY) / stage.clientHeight);
  });
  for (const end of ["pointerup", "pointercancel"])
    stage.addEventListener(end, (event) => fingers.delete(event.pointerId));
  dialog.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
    if (event.key in steps) move(...steps[event.key]);
    else if (event.key === "+" || event.key === "=") zoom(0.8);
    else if (event.key === "-") zoom(1.25);
    else return;
    event.preventDefault();
  });

  // Paper has no folds.
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => (d.open = true)));
})();
