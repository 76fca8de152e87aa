// Create PIN and Change PIN: takes the digits, seals them, tells how it ended.

import { DeskRefusal, ask, canSeal, openEnvelope, words } from "./desk.js";
import { sealPin, toHex } from "./envelope.js";
import { same } from "./guidance.js";
import { PinField } from "./pin-entry.js";

const form = document.getElementById("pin-form");
const summary = document.getElementById("pin-summary");
const headline = document.getElementById("pin-headline");
const said = headline.textContent;
const problems = document.getElementById("pin-problems");
const busy = document.getElementById("pin-busy");
const submit = document.getElementById("pin-submit");
const fields = [...document.querySelectorAll("[data-pin]")].map((field) => new PinField(field));
const [repeated, chosen, current] = [...fields].reverse();
let active = fields[0];

if (canSeal()) {
  start();
}

function start() {
  document.getElementById("pin-needs").hidden = true;
  form.hidden = false;
  fields.forEach((field, at) => {
    document.getElementById(field.id).addEventListener("focus", () => {
      active = field;
    });
    field.onComplete(() => fields[at + 1]?.focus());
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void send();
  });
  toggle("pin-show", "aria-pressed", (shown) => fields.forEach((field) => field.show(shown)));
  toggle("pin-keypad", "aria-expanded", (open) => {
    document.getElementById("keypad").hidden = !open;
    fields.forEach((field) => field.useKeypad(open));
  });
  document.querySelectorAll("#keypad [data-key]").forEach((button) => {
    button.addEventListener("click", () => active.key(button.dataset.key));
  });
  globalThis.addEventListener("pagehide", forget);
}

function toggle(id, state, act) {
  const button = document.getElementById(id);
  button.addEventListener("click", () => {
    const on = button.getAttribute(state) !== "true";
    button.setAttribute(state, String(on));
    act(on);
  });
}

function forget() {
  fields.forEach((field) => field.clear());
}

async function send() {
  const found = check();
  complain(found);
  if (found.length > 0) {
    return;
  }
  submit.disabled = true;
  const slow = setTimeout(() => {
    busy.textContent = "Sealing your PIN and asking the bank. This takes a moment.";
  }, 300);
  let isSent = false;
  try {
    const body = await sealed();
    isSent = true;
    const { next } = await ask(form.dataset.post, body);
    forget();
    location.assign(next);
  } catch (error) {
    forget();
    complain([[fields[0], words(error), error]], isSent && error.leavesOpen === true);
    if (error.code === "wrong_pin") {
      current.complain("Type your current PIN again.");
    }
  } finally {
    clearTimeout(slow);
    busy.textContent = "";
    submit.disabled = false;
  }
}

/** What to mend before anything is sent, each with its field. */
function check() {
  const found = fields
    .filter((field) => !field.digits.isComplete && field !== repeated)
    .map((field) => [field, field === current ? "Type your current PIN." : "Type your new PIN."]);
  if (chosen.digits.isComplete && !same(chosen.digits.expose(), repeated.digits.expose())) {
    repeated.clear();
    found.push([repeated, "The two PINs differ. Type the new one again."]);
  }
  return found;
}

async function sealed() {
  const { account, key, parts } = await openEnvelope(form.dataset.envelope, form.dataset.operation, form.dataset.identity);
  const block = async (role, field) => toHex(await sealPin(await key(role), field.digits.expose(), account));
  const body = { ...parts, new_pin: await block("new", chosen) };
  if (current) {
    body.current_pin = await block("current", current);
  }
  return body;
}

/** Shows the problems beside their fields and in the summary, which takes the focus. `isOpen`: the PIN may be the new one. */
function complain(found, isOpen = false) {
  fields.forEach((field) => field.complain(""));
  headline.textContent = isOpen ? headline.dataset.open : said;
  problems.replaceChildren(...found.map(([field, text, cause]) => item(field, text, cause)));
  summary.hidden = found.length === 0;
  if (found.length > 0) {
    summary.focus();
  }
}

/** The page that mends a refusal, where this one can't. */
function mendedAt(cause) {
  if (!(cause instanceof DeskRefusal)) {
    return undefined;
  }
  if (cause.code === "pin_locked" || /locked now/.test(cause.message)) {
    return form.dataset.unlock;
  }
  if (cause.code === "wrong_pin" && /view it/.test(cause.message)) {
    return form.dataset.view;
  }
  if (cause.leavesOpen) {
    return form.dataset.manage;
  }
  return ["step_up_needed", "signed_out"].includes(cause.code) ? location.pathname : undefined;
}

function item(field, text, cause) {
  const link = document.createElement("a");
  link.href = mendedAt(cause) ?? `#${field.id}`;
  link.textContent = text;
  if (!cause) {
    field.complain(text);
  }
  const entry = document.createElement("li");
  entry.append(link);
  return entry;
}
