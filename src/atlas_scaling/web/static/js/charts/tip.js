// What a mark says of itself: under the pointer, under the keyboard, and to screen readers.

import { announce } from "../dom.js";

const tip = () => document.getElementById("tip");

export function showTip(text, x, y) {
  const element = tip();
  element.textContent = text;
  element.hidden = false;
  // over a modal dialog only what is inside it can be seen
  (document.querySelector("dialog[open]") ?? document.body).append(element);
  const box = element.getBoundingClientRect();
  const left = Math.max(6, Math.min(x + 14, innerWidth - box.width - 8));
  const top = y + 18 + box.height > innerHeight ? y - box.height - 12 : y + 18;
  element.style.setProperty("left", `${left}px`);
  element.style.setProperty("top", `${Math.max(6, top)}px`);
}

export function hideTip() {
  tip().hidden = true;
}

/**
 * Lets marks be read: `marks` are {x, y, tip, pick?} in the svg's own pixels. The nearest one is
 * shown under the pointer; with the keyboard, arrows walk from mark to mark and Enter picks.
 */
export function readable(svg, marks, halo, { reach = 36, horizontal = false } = {}) {
  if (!marks.length) return;
  let at = -1;
  const show = (i, speak) => {
    at = i;
    const mark = marks[i];
    halo.setAttribute("cx", mark.x);
    halo.setAttribute("cy", mark.y);
    halo.removeAttribute("visibility");
    const box = svg.getBoundingClientRect();
    showTip(mark.tip, box.left + mark.x, box.top + mark.y);
    if (speak) announce(mark.tip.replaceAll("\n", ", "));
  };
  const hide = () => {
    at = -1;
    halo.setAttribute("visibility", "hidden");
    hideTip();
  };
  const nearest = (event) => {
    const box = svg.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = -1;
    let least = reach;
    marks.forEach((mark, i) => {
      const distance = horizontal ? Math.abs(mark.y - y) : Math.hypot(mark.x - x, mark.y - y);
      if (distance < least) [best, least] = [i, distance];
    });
    return best;
  };
  svg.addEventListener("pointermove", (event) => {
    const i = nearest(event);
    if (i >= 0) show(i);
    else hide();
    svg.style.setProperty("cursor", i >= 0 && marks[i].pick ? "pointer" : "default");
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("click", (event) => {
    const i = nearest(event);
    if (i >= 0) marks[i].pick?.();
  });
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      show(at < 0 ? (step > 0 ? 0 : marks.length - 1) : (at + step + marks.length) % marks.length, true);
    } else if (event.key === "Enter" && at >= 0) marks[at].pick?.();
    else if (event.key === "Escape") hide();
  });
}
