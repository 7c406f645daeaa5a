// Uploads on their way: a preview at once, progress per file, two at a time, and a retry that cannot store twice.

import { begin, finish, put, upload } from "./api.js";
import { carried } from "./inspect.js";
import { bytes, element, find, icon, say, state } from "./page.js";
import { remember } from "./sent.js";

const AT_ONCE = 2;
const waiting = [];
let running = 0;

/** Queue *file*; *options* are the form's fields; *done* is called with the stored image. */
export function enqueue(file, options, done) {
  const item = { file, options, done, key: newKey(), row: row(file) };
  find("queue").append(item.row.box);
  find("queue-section").hidden = false;
  waiting.push(item);
  next();
}

function next() {
  while (running < AT_ONCE && waiting.length) {
    running++;
    send(waiting.shift()).finally(() => {
      running--;
      next();
    });
  }
}

async function send(item) {
  const { file, options, row } = item;
  const cancel = new AbortController();
  row.start("Sending", cancel);
  try {
    const facts = { name: file.name, bytes: file.size, type: file.type, carried: file.size ? await carried(file) : [] };
    Object.assign(facts, await pixels(file), file.before);
    const fields = { username: state.user, ...options };
    const { image } = await way(item, facts, fields, { progress: row.progress, signal: cancel.signal });
    remember(image.id, facts);
    row.finish(`Stored: ${bytes(file.size)} became ${bytes(image.size_bytes)}`);
    say(`${file.name} is stored.`);
    item.done(image);
  } catch (error) {
    row.fail(error, () => {
      waiting.push(item);
      next();
    });
  }
}

/** Send the file straight to the store if that takes it, else in a form; *facts* learn which way it went. */
async function way(item, facts, fields, options) {
  const { file } = item;
  if (state.direct) {
    facts.way = "direct";
    if (!item.ticket) {
      const ticket = await begin(state.user, file);
      try {
        await put(ticket, file, options);
        item.ticket = ticket; // a retry only finishes
      } catch (error) {
        if (error.code !== "offline") throw error;
        state.direct = false; // the bucket lacks the rule that lets this page in: userimages check --origin
      }
    }
    if (item.ticket) return finish(item.ticket, fields);
  }
  facts.way = "form";
  return upload(file, fields, { ...options, key: item.key });
}

function row(file) {
  const preview = element("img", { alt: "", src: URL.createObjectURL(file), onerror: () => preview.classList.add("none") });
  const bar = element("progress", { max: 1, value: 0, "aria-label": `Progress of ${file.name}` });
  const status = element("p", { class: "status" }, "Waiting");
  const buttons = element("div", { class: "buttons" });
  const words = element("div", { class: "words" }, element("p", { class: "name" }, file.name || "pasted picture"), status, bar);
  const box = element("li", { class: "item" }, element("span", { class: "preview" }, icon("none"), preview), words, buttons);
  const leave = () => {
    URL.revokeObjectURL(preview.src);
    box.remove();
    tidy();
  };
  const button = (label, act) => element("button", { type: "button", class: "plain small", onclick: act }, label);
  const dismiss = () => element("button", { type: "button", class: "icon", "aria-label": `Dismiss ${file.name}`, onclick: leave }, icon("close"));
  return {
    box,
    start(word, cancel) {
      box.classList.remove("bad");
      tidy();
      bar.hidden = false;
      bar.value = 0;
      status.textContent = `${word} ${bytes(file.size)}`;
      buttons.replaceChildren(button("Cancel", () => cancel.abort()));
    },
    progress(share) {
      bar.value = share;
      status.textContent = share < 1 ? `Sending ${bytes(file.size)}, ${Math.floor(share * 100)} %` : "Checking and re-encoding";
      if (share === 1) bar.removeAttribute("value");
    },
    finish(sentence) {
      bar.hidden = true; // an empty or half-filled one would say that something is still to come
      box.classList.add("done");
      status.textContent = sentence;
      buttons.replaceChildren(dismiss());
      setTimeout(leave, 5000);
    },
    fail(error, retry) {
      bar.hidden = true;
      box.classList.add("bad");
      tidy();
      status.textContent = error.message;
      status.setAttribute("role", "alert");
      if (error.status) status.append(element("code", {}, `${error.status} ${error.code}`));
      const mayRetry = !error.status || error.status >= 500;
      buttons.replaceChildren(...(mayRetry ? [button("Try again", retry)] : []), dismiss());
    },
  };
}

/** Show the list while there is something in it, and "Dismiss all" where there is more than one refusal. */
function tidy() {
  find("queue-section").hidden = !find("queue").children.length;
  find("dismiss-all").hidden = find("queue").querySelectorAll(".bad").length < 2;
}

find("dismiss-all").addEventListener("click", () => {
  for (const each of find("queue").querySelectorAll(".bad .buttons .icon")) each.click();
  find("files").focus();
});

async function pixels(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const { width, height } = bitmap;
    bitmap.close();
    return { width, height };
  } catch {
    return {};
  }
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
