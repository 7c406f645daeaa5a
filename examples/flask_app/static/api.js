// The API as the page calls it. Every failure is an Error whose message is the server's own sentence.

export async function list(user, { cursor, type, limit = 24 } = {}) {
  const query = new URLSearchParams({ username: user, limit });
  if (cursor) query.set("cursor", cursor);
  if (type) query.set("image_type", type);
  return answer(await fetch(`/api/user_images/?${query}`));
}

export async function setPrimary(id) {
  return answer(await fetch(`/api/user_image/${id}/set_primary/`, { method: "POST" }));
}

/** Change the caption. */
export async function update(id, { caption }) {
  return answer(await fetch(`/api/user_image/${id}/update/`, { method: "POST", body: new URLSearchParams({ caption }) }));
}

/** Delete for good; *keepalive* lets the request outlive the page. */
export async function remove(id, { keepalive = false } = {}) {
  return answer(await fetch(`/api/user_image/${id}/delete/`, { method: "DELETE", keepalive }));
}

/** Ask for a ticket: the permission to put *file* into the store, once. */
export async function begin(user, file) {
  const fields = { username: user, size_bytes: file.size, mime_type: file.type };
  return (await answer(await fetch("/api/begin_upload/", { method: "POST", body: new URLSearchParams(fields) }))).ticket;
}

/** Put *file* into the store. */
export function put(ticket, file, { progress, signal }) {
  return sent(ticket.method, ticket.url, ticket.headers, file, { progress, signal, unreachable: "The store cannot be reached." });
}

/** Make an image of what was put. Again, it returns the same one. */
export async function finish(ticket, fields) {
  return answer(await fetch("/api/upload_user_image/", { method: "POST", body: new URLSearchParams({ ...fields, ticket: ticket.id }) }));
}

/** Upload *file*; *progress* is told the share that has left. The same *key* again cannot store it twice. */
export function upload(file, fields, { key, progress, signal }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  form.set("image", file, file.name || "pasted.png");
  const unreachable = "The server cannot be reached.";
  return sent("POST", "/api/upload_user_image/", { "Idempotency-Key": key }, form, { progress, signal, unreachable });
}

function sent(method, url, headers, body, { progress, signal, unreachable }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onload = () => settle(request.status, request.responseText, resolve, reject);
    request.onerror = () => reject(failure(unreachable, "offline"));
    signal?.addEventListener("abort", () => request.abort());
    request.onabort = () => reject(failure("Cancelled.", "cancelled"));
    request.send(body);
  });
}

async function answer(response) {
  const text = await response.text();
  return new Promise((resolve, reject) => settle(response.status, text, resolve, reject));
}

function settle(status, text, resolve, reject) {
  let content = {};
  try {
    content = JSON.parse(text);
  } catch {
    // a proxy's page, not ours
  }
  if (status < 300) resolve(content);
  else reject(failure(content.error || `The server answered ${status}.`, content.code || "", status));
}

function failure(message, code, status = 0) {
  return Object.assign(new Error(message), { code, status });
}
