// The panel of one picture: what was sent, what was stored, what was removed, and the Python that did it.

import { update } from "./api.js";
import { bytes, element, find, format, notice, say, state, title } from "./page.js";
import { sentFor } from "./sent.js";

let shown = null; // what the panel is open for, and whom it tells of a new caption

export function open(image, changed) {
  shown = { image, changed };
  find("panel-title").textContent = title(image);
  find("panel-caption").elements.caption.value = image.caption;
  const when = new Date(image.uploaded_at).toLocaleString([], { dateStyle: "long", timeStyle: "short" });
  find("panel-meta").textContent = `${label(image.image_type)}${image.is_primary ? ", primary" : ""} · ${when}`;
  find("panel-stage").replaceChildren(element("img", { src: image.url, width: image.width, height: image.height, alt: title(image) }));
  const sent = sentFor(image.id);
  scale(image, sent);
  facts(image, sent);
  sizes(image);
  find("panel-code").textContent = python(image, sent);
  find("panel-saved").textContent = "";
  if (!find("panel").open) find("panel").showModal();
}

const label = (type) => ({ profile: "Profile picture", gallery: "Gallery image", cover: "Cover photo" })[type];
const WAYS = {
  direct: "straight to the store; the application read it once, to check it",
  form: "through the application, in a form",
  python: "from Python, at the first start",
};
const size = (it) => (it.width ? `${it.width} × ${it.height}` : "unknown size");

/** Draw bytes before and after to one scale. */
function scale(image, sent) {
  const bar = (name, count, most) => {
    const fill = element("span", { class: "fill" });
    fill.style.width = `${Math.max(1.5, (100 * count) / most)}%`;
    return element("div", {}, element("span", { class: "key" }, name), element("span", { class: "track" }, fill), element("b", {}, bytes(count)));
  };
  if (!sent) return find("panel-scale").replaceChildren();
  const most = Math.max(sent.bytes, image.size_bytes);
  find("panel-scale").replaceChildren(bar("Sent", sent.bytes, most), bar("Stored", image.size_bytes, most));
}

function facts(image, sent) {
  const rows = [];
  if (sent) {
    rows.push(["Sent", `${format(sent.type)}, ${size(sent)}`]);
    if (sent.cropped) rows.push(["In the browser", "cropped to a square"]);
  } else {
    rows.push(["Sent", "from another browser; the original is not kept"]);
  }
  if (sent?.way) rows.push(["Way", WAYS[sent.way]]);
  rows.push(["Stored", `${format(image.mime_type)}, ${size(image)}, sRGB, upright`]);
  rows.push(["Removed", sent ? sent.carried.join(", ") || "nothing: it carried no metadata" : "all metadata that it carried"]);
  find("panel-facts").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function sizes(image) {
  const all = [...Object.entries(image.variants), ["full", image]];
  find("panel-sizes").replaceChildren(
    ...all.map(([name, each]) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, element("a", { href: each.url, target: "_blank" }, name)),
        element("td", {}, size(each)),
        element("td", {}, format(each.mime_type)),
        element("td", {}, bytes(each.size_bytes)),
      ),
    ),
  );
}

function python(image, sent) {
  const direct = sent?.way === "direct";
  const begun = [
    "ticket = images.begin_upload(",
    `    ${quote(state.user)},`,
    `    size_bytes=${sent?.bytes},`,
    `    mime_type=${quote(sent?.type || "")},`,
    ")",
    "# The browser sends the file to ticket.url, then:",
  ];
  const file = direct ? "ticket.id" : `open(${quote(sent?.name || "picture.jpg")}, "rb")`;
  const lines = [`    ${quote(state.user)},`, `    ${file},`, `    image_type=${quote(image.image_type)},`];
  if (image.is_primary) lines.push("    is_primary=True,");
  if (image.caption) lines.push(`    caption=${quote(image.caption)},`);
  const narrow = Object.keys(image.variants)[0];
  return [
    "from userimages.config import service_from_env",
    "",
    "images = service_from_env()",
    ...(direct ? begun : []),
    `image = images.${direct ? "finish_upload" : "upload"}(`,
    ...lines,
    ")",
    "",
    `image.width, image.height  # ${image.width}, ${image.height}`,
    ...(narrow ? [`image.variants[${quote(narrow)}].url`] : []),
    `image.img_attributes(sizes="50vw")  # src, srcset, ...`,
    "",
    `images.update(image.id, caption="Another caption")`,
    `images.set_primary(image.id)`,
    `images.delete(image.id)`,
  ].join("\n");
}

/** Return a Python literal: JSON's strings are Python's, all but the rest of the world beyond the first 65,536. */
const quote = (text) => JSON.stringify(text);

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
}

find("panel-caption").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { image, changed } = shown;
  const fields = event.target.elements;
  fields.save.disabled = true;
  try {
    const answer = await update(image.id, { caption: fields.caption.value });
    changed(answer.image);
    if (shown.image === image) open(answer.image, changed);
    say("The caption is saved.");
    find("panel-saved").textContent = "Saved.";
  } catch (error) {
    find("panel-saved").textContent = error.message;
    say(error.message);
  } finally {
    fields.save.disabled = false;
  }
});

find("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(find("panel-code").textContent);
  notice("Copied.", { seconds: 3 });
});
