// A square for a profile picture: drag it, or move three sliders, which is all that a keyboard needs.

import { find } from "./page.js";

const LARGEST = 1920;

/** Return a square cut of *file*, the file itself, or null where it is left out or asked to be. */
export async function cropped(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return file; // not a picture that this browser knows: the server says why
  }
  const choice = bitmap.width === bitmap.height ? "whole" : await ask(file, bitmap);
  const result = choice === "use" ? await cut(file, bitmap) : choice === "whole" ? file : null;
  bitmap.close();
  return result;
}

const slider = (name) => find(`crop-${name}`);
const share = (name) => Number(slider(name).value) / 100;

/** Return the chosen square in pixels of *bitmap*. */
function square(bitmap) {
  const side = Math.max(1, Math.round(Math.min(bitmap.width, bitmap.height) * share("size")));
  return { side, left: Math.round((bitmap.width - side) * share("x")), top: Math.round((bitmap.height - side) * share("y")) };
}

function show(bitmap) {
  const { side, left, top } = square(bitmap);
  const style = find("crop-box").style;
  style.left = `${(100 * left) / bitmap.width}%`;
  style.top = `${(100 * top) / bitmap.height}%`;
  style.width = `${(100 * side) / bitmap.width}%`;
  style.height = `${(100 * side) / bitmap.height}%`;
}

function ask(file, bitmap) {
  const dialog = find("crop");
  const image = find("crop-image");
  image.src = URL.createObjectURL(file);
  for (const [name, value] of [["size", 100], ["x", 50], ["y", 50]]) {
    slider(name).value = value;
    slider(name).oninput = () => show(bitmap);
  }
  drag(bitmap);
  show(bitmap);
  return new Promise((resolve) => {
    for (const choice of ["use", "whole", "skip"]) find(`crop-${choice}`).onclick = () => dialog.close(choice);
    dialog.onclose = () => {
      URL.revokeObjectURL(image.src);
      resolve(dialog.returnValue || "skip");
      dialog.returnValue = "";
    };
    dialog.showModal();
    find("crop-use").focus();
  });
}

function drag(bitmap) {
  const box = find("crop-box");
  box.onpointerdown = (event) => box.setPointerCapture(event.pointerId);
  box.onpointermove = (event) => {
    if (!box.hasPointerCapture(event.pointerId)) return;
    const stage = find("crop-stage").getBoundingClientRect();
    const { side } = square(bitmap);
    move("x", (event.movementX / stage.width) * bitmap.width, bitmap.width - side);
    move("y", (event.movementY / stage.height) * bitmap.height, bitmap.height - side);
    show(bitmap);
  };
}

function move(name, pixels, room) {
  if (room > 0) slider(name).value = Number(slider(name).value) + (100 * pixels) / room;
}

async function cut(file, bitmap) {
  const { side, left, top } = square(bitmap);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.min(side, LARGEST);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, left, top, side, side, 0, 0, canvas.width, canvas.height);
  const type = file.type === "image/jpeg" ? "image/jpeg" : "image/png";
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, type, 0.95));
  return new File([blob], file.name.replace(/(\.\w+)?$/, type === "image/jpeg" ? ".jpg" : ".png"), { type });
}
