// What was sent for each picture: the server keeps no original, so this browser remembers a few facts.

import { state } from "./page.js";

const STORE = "userimages-sent";
const mine = read();

export const sentFor = (id) => mine[id] || state.sent[id];

export function remember(id, facts) {
  mine[id] = facts;
  const kept = Object.entries(mine).slice(-200);
  try {
    localStorage.setItem(STORE, JSON.stringify(Object.fromEntries(kept)));
  } catch {
    // private mode or full: the facts last as long as the page
  }
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) || {};
  } catch {
    return {};
  }
}
