// Small things that every part of the page needs: its state, elements, words, and what is said aloud.

export const state = JSON.parse(document.getElementById("state").textContent);

export const find = (id) => document.getElementById(id);

/** Make an element; *children* are elements or text, never markup. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${Math.round(count / 1000)} kB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}

export const format = (type) => ({ "image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WebP", "image/gif": "GIF" })[type] || type || "unknown";

export const title = (image) => image.caption || `${image.image_type[0].toUpperCase()}${image.image_type.slice(1)} picture`;

export function say(text) {
  find("said").textContent = text;
}

/** Show a notice; it goes after *seconds*, which stand still while a pointer rests on it. Return what ends it now. */
export function notice(text, { seconds = 8, action, onAction, onEnd = () => {}, bad = false } = {}) {
  const box = element("div", { class: bad ? "toast bad" : "toast", role: bad ? "alert" : null }, element("p", {}, text));
  let ended = false;
  const end = (how) => {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    box.remove();
    if (how !== "action") onEnd();
  };
  let timer = 0;
  const run = () => (timer = setTimeout(end, seconds * 1000));
  if (action) box.append(element("button", { type: "button", class: "plain small", onclick: () => (end("action"), onAction()) }, action));
  box.append(element("button", { type: "button", class: "icon", "aria-label": "Dismiss", onclick: end }, icon("close")));
  box.append(element("span", { class: "fuse" }));
  box.lastChild.style.animationDuration = `${seconds}s`;
  box.addEventListener("pointerenter", () => clearTimeout(timer));
  box.addEventListener("pointerleave", () => ended || run());
  find("toasts").append(box);
  run();
  return end;
}
