// @ts-check
/** Keeps the page's picture of the world fresh: asks every two seconds, and stays quiet while the page is hidden. */

import { sandboxState } from "./api.js";
import { byId, say } from "./dom.js";

const EVERY_MS = 2000;

/** @type {((state: import("./api.js").SandboxState) => void)[]} */
const listeners = [];
/** @type {import("./api.js").SandboxState | null} */
let latest = null;
let timer = 0;
/** @type {Promise<void> | null} */
let asking = null;

/**
 * Hears every answer, beginning with the next.
 * @param {(state: import("./api.js").SandboxState) => void} listener
 */
export function onState(listener) {
  listeners.push(listener);
}

/** The last answer, if there was one. */
export function latestState() {
  return latest;
}

/** Tells the listeners what is known already, for when something on the page changed. */
export function tellAgain() {
  if (latest) for (const listener of listeners) listener(latest);
}

/** Asks now. Calls during a running question wait for that one. */
export function refresh() {
  asking ??= ask().finally(() => {
    asking = null;
  });
  return asking;
}

export function startPolling() {
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });
  refresh();
}

async function ask() {
  clearTimeout(timer);
  try {
    latest = await sandboxState();
  } catch {
    sayDown("The sandbox isn't running. Start it again and this page goes on by itself; cards and mails are kept.");
    return;
  } finally {
    timer = setTimeout(() => {
      if (!document.hidden) refresh();
    }, EVERY_MS);
  }
  sayDown("");
  tellAgain();
}

/** @param {string} words */
function sayDown(words) {
  byId("sandbox-down").hidden = words === "";
  say(byId("sandbox-down"), words);
}
