// The page: lists the pictures, takes files however they come, and keeps what is shown in step with the server.

import { list, remove, setPrimary } from "./api.js";
import { BAD } from "./bad.js";
import { cropped } from "./crop.js";
import { element, find, icon, notice, say, state, title } from "./page.js";
import { open } from "./panel.js";
import { enqueue } from "./queue.js";
import { placeholder } from "./thumbhash.js";

const shown = new Map(); // id -> { image, card }
const leaving = new Map(); // id -> what ends its notice and deletes it
let cursor = null;
let type = "";

// Pictures

async function load({ more = false } = {}) {
  try {
    const page = await list(state.user, { type, cursor: more ? cursor : null });
    if (!more) {
      shown.clear();
      find("grid").replaceChildren();
    }
    cursor = page.next;
    for (const image of page.images) if (!leaving.has(image.id)) add(image);
  } catch (error) {
    notice(error.message, { bad: true });
  }
  refresh();
}

function add(image, { first = false } = {}) {
  const card = cardOf(image);
  shown.get(image.id)?.card.remove(); // the first answer of an upload that was tried twice
  shown.set(image.id, { image, card });
  if (first) find("grid").prepend(card);
  else find("grid").append(card);
}

function refresh() {
  find("more").hidden = !cursor;
  find("empty").hidden = shown.size > 0;
  for (const { image, card } of shown.values()) {
    const star = card.querySelector(".star");
    star.setAttribute("aria-pressed", image.is_primary);
    card.classList.toggle("primary", image.is_primary);
  }
  const primary = [...shown.values()].find(({ image }) => image.is_primary)?.image;
  if (primary || !type) avatar(primary);
}

function avatar(image) {
  const variant = image && (image.variants["128"] || Object.values(image.variants)[0] || image);
  find("avatar").replaceChildren(variant ? element("img", { src: variant.url, alt: "", width: 28, height: 28 }) : [...state.user][0].toUpperCase());
}

/** List what a browser may choose from: the sizes of one shape, which for a profile picture are its squares. */
function renditions(image) {
  if (image.frames > 1) return [image];  // its variants do not move, and a browser chooses by width alone
  const largest = Object.values(image.variants).reduce((most, each) => (each.width > most.width ? each : most), { width: 0 });
  const shape = largest.width ? largest : image;
  const alike = (each) => Math.abs(each.width * shape.height - shape.width * each.height) <= Math.max(each.width, each.height, shape.width, shape.height);
  return [...Object.values(image.variants), image].filter(alike).filter((each, at, all) => all.findIndex((other) => other.width === each.width) === at).sort((one, other) => one.width - other.width);
}

function cardOf(image) {
  const sizes = renditions(image);
  const widest = sizes[sizes.length - 1];
  const ratio = widest.width / widest.height;
  const name = title(image);
  const picture = element("img", {
    alt: name,
    width: widest.width,
    height: widest.height,
    srcset: sizes.map((each) => `${each.url} ${each.width}w`).join(", "),
    sizes: `(max-width: 640px) 100vw, ${Math.round(ratio * 260)}px`,
    src: widest.url,
    loading: shown.size < 6 ? "eager" : "lazy",
    decoding: "async",
    onload: () => picture.classList.add("here"),
  });
  const view = element("button", { type: "button", class: "view", "aria-haspopup": "dialog", onclick: () => open(shown.get(image.id).image, changed) }, picture);
  const star = element("button", { type: "button", class: "icon star", "aria-pressed": image.is_primary, "aria-label": `Primary: ${name}`, title: "Make it the primary picture", onclick: () => makePrimary(image.id) }, icon("star"));
  const bin = element("button", { type: "button", class: "icon bin", "aria-label": `Delete: ${name}`, title: "Delete", onclick: () => takeAway(image.id) }, icon("bin"));
  const caption = element("p", { class: "caption" }, element("span", {}, name), element("small", {}, image.image_type));
  const card = element("li", { class: "card", "data-id": image.id }, view, element("div", { class: "tools" }, star, bin), caption);
  card.style.setProperty("--ratio", Math.min(Math.max(ratio, 0.6), 3.2));
  const blur = image.placeholder && placeholder(image.placeholder);
  if (blur) view.style.backgroundImage = `url(${blur})`;
  return card;
}

/** Show what was changed where it stands. */
function changed(image) {
  const entry = shown.get(image.id);
  if (!entry) return;
  entry.image = image;
  const name = title(image);
  entry.card.querySelector(".caption span").textContent = name;
  entry.card.querySelector("img").alt = name;
  entry.card.querySelector(".star").setAttribute("aria-label", `Primary: ${name}`);
  entry.card.querySelector(".bin").setAttribute("aria-label", `Delete: ${name}`);
}

async function makePrimary(id) {
  if (shown.get(id).image.is_primary) {
    say("This is the primary picture.");
    return notice("This is the primary picture already.", { seconds: 4 });
  }
  try {
    await setPrimary(id);
    for (const each of shown.values()) each.image.is_primary = each.image.id === id;
    refresh();
    say(`${title(shown.get(id).image)} is now the primary picture.`);
  } catch (error) {
    notice(error.message, { bad: true });
  }
}

// Delete, with time to think again: nothing is sent before the notice is gone

function takeAway(id) {
  const { image, card } = shown.get(id);
  const after = card.nextElementSibling;
  card.remove();
  shown.delete(id);
  const end = notice(`“${title(image)}” is deleted.`, {
    seconds: 8,
    action: "Undo",
    onAction: () => {
      leaving.delete(id);
      shown.set(id, { image, card });
      find("grid").insertBefore(card, after?.isConnected ? after : null);
      refresh();
      card.querySelector(".view").focus();
      say("It is back.");
    },
    onEnd: () => erase(id, { image, card }),
  });
  leaving.set(id, end);
  find("toasts").lastChild.querySelector("button").focus();
  say(`${title(image)} is deleted. Undo is possible for 8 seconds.`);
  refresh();
}

async function erase(id, entry, options) {
  leaving.delete(id);
  try {
    await remove(id, options);
  } catch (error) {
    if (error.status === 404) return;
    shown.set(id, entry);
    find("grid").prepend(entry.card);
    refresh();
    notice(error.message, { bad: true });
  }
}

addEventListener("pagehide", () => {
  for (const id of leaving.keys()) remove(id, { keepalive: true }).catch(() => {});
  leaving.clear();
});

// Files: chosen, dropped or pasted

async function take(files) {
  const form = new FormData(find("options"));
  const options = { image_type: form.get("image_type"), caption: form.get("caption"), is_primary: form.has("is_primary") };
  find("options").elements.caption.value = "";
  find("options").elements.is_primary.checked = false;
  for (const file of files) {
    const chosen = options.image_type === "profile" ? await cropped(file) : file;
    if (!chosen) continue;
    if (chosen !== file) chosen.before = { cropped: true };
    enqueue(chosen, { ...options }, arrived);
    options.is_primary = false; // only one can be: the first
  }
}

function arrived(image) {
  if (type && image.image_type !== type) return;
  if (image.is_primary) for (const each of shown.values()) each.image.is_primary = false;
  add(image, { first: true });
  refresh();
}

find("files").addEventListener("change", (event) => {
  take([...event.target.files]);
  event.target.value = "";
});

addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) take([...event.clipboardData.files]);
});

let depth = 0;
const isDrag = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", (event) => isDrag(event) && find("veil").classList.toggle("on", ++depth > 0));
addEventListener("dragleave", (event) => isDrag(event) && find("veil").classList.toggle("on", --depth > 0));
addEventListener("dragover", (event) => isDrag(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!isDrag(event)) return;
  event.preventDefault();
  depth = 0;
  find("veil").classList.remove("on");
  take([...event.dataTransfer.files]);
});

find("bad").addEventListener("click", (event) => {
  const make = BAD[event.target.dataset.bad];
  if (make) enqueue(make(), { image_type: "gallery", is_primary: false, caption: "" }, arrived);
});

// The rest of the page

find("options").addEventListener("submit", (event) => event.preventDefault());
find("filter").addEventListener("change", (event) => {
  type = event.target.value;
  load();
});
find("more").addEventListener("click", () => load({ more: true }));

const dark = matchMedia("(prefers-color-scheme: dark)");
find("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  localStorage.theme = document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
});
if (localStorage.theme) document.documentElement.dataset.theme = localStorage.theme;

load();
