// Warns a minute before the session ends, lets the cardmember stay, and leaves the page when it has ended.

const WARN_MS = 60_000;

/**
 * When to warn and when to leave, in milliseconds from now.
 *
 * @param {number} idleMs how long the session lives without a request
 * @param {number} leftMs how long it lives at all
 */
export function plan(idleMs, leftMs) {
  const endMs = Math.min(idleMs, leftMs);
  return { warnMs: Math.max(0, endMs - WARN_MS), endMs, canStay: leftMs > idleMs };
}

if (globalThis.document?.body?.dataset.idleMs) {
  watch(Number(document.body.dataset.idleMs), Number(document.body.dataset.leftMs));
}

function watch(idleMs, leftMs) {
  const opened = Date.now();
  const warning = document.getElementById("session-warning");
  const stay = document.getElementById("session-stay");
  let since = opened;
  stay.addEventListener("click", async () => {
    const response = await fetch("/session/stay", { method: "POST", headers: { Accept: "application/json" } });
    if (!response.ok) {
      leave();
      return;
    }
    since = Date.now();
    warning.close();
  });
  globalThis.addEventListener("pageshow", (event) => {
    if (event.persisted) {
      location.reload();
    }
  });
  setInterval(() => {
    const { warnMs, endMs, canStay } = plan(idleMs, leftMs - (since - opened));
    const passed = Date.now() - since;
    if (passed >= endMs) {
      leave();
    } else if (passed >= warnMs) {
      document.getElementById("session-left").textContent = String(Math.ceil((endMs - passed) / 1000));
      stay.hidden = !canStay;
      if (!warning.open) {
        warning.showModal();
      }
    }
  }, 1000);
}

function leave() {
  location.replace("/sign-in?why=idle");
}
