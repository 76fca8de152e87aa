// View PIN: asks for the PIN sealed to this page, shows it for 30 seconds, and forgets it.

import { ask, canSeal, openEnvelope, words } from "./desk.js";
import { fromHex, openPin, wipe } from "./envelope.js";

const SHOWN_S = 30;
const NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

const part = (id) => document.getElementById(id);
const view = part("view");
let pin = new Uint8Array(0);
let ticking = 0;

if (canSeal()) {
  part("pin-needs").hidden = true;
  view.hidden = false;
  part("view-show").addEventListener("click", () => void show());
  part("view-hide").addEventListener("click", () => hide("The PIN is hidden again."));
  part("view-speak").addEventListener("click", speak);
  globalThis.addEventListener("blur", () => hide("The PIN was hidden because you left this window."));
  globalThis.addEventListener("pagehide", () => hide("The PIN is hidden again."));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      hide("The PIN was hidden because you left this page.");
    }
  });
}

async function show() {
  part("view-show").disabled = true;
  const slow = setTimeout(() => {
    part("view-busy").textContent = "Asking the bank for your PIN. This takes a moment.";
  }, 300);
  try {
    const { account, key, parts } = await openEnvelope(view.dataset.envelope, "view_pin", view.dataset.identity);
    const version = view.dataset.version === undefined ? {} : { version: Number(view.dataset.version) };
    const { block } = await ask(view.dataset.post, { ...parts, ...version });
    pin = await openPin(await key("reveal"), fromHex(block), account);
    draw();
  } catch (error) {
    part("view-problem-words").textContent = words(error);
    part("view-problem").hidden = false;
    part("view-problem").focus();
    part("view-hidden").hidden = false;
    part("view-hidden-words").hidden = true;
    part("view-ready").hidden = true;
  } finally {
    clearTimeout(slow);
    part("view-busy").textContent = "";
  }
}

function draw() {
  part("view-digits").replaceChildren(
    ...Array.from(pin, (digit) => {
      const box = document.createElement("span");
      box.textContent = String(digit);
      return box;
    }),
  );
  part("view-ready").hidden = true;
  part("view-shown").hidden = false;
  part("view-spoken").textContent = "Your PIN is on the screen.";
  part("view-speak").focus();
  let left = SHOWN_S;
  ticking = setInterval(() => {
    left -= 1;
    part("view-left").textContent = left === 1 ? "1 second" : `${left} seconds`;
    if (left === 0) {
      hide("Thirty seconds have passed, so the PIN is hidden again.");
    }
  }, 1000);
}

/** Says the digits one by one to a screen reader, on request only. */
function speak() {
  part("view-spoken").textContent = Array.from(pin, (digit) => NUMBERS[digit]).join(", ");
}

function hide(why) {
  if (part("view-shown").hidden) {
    return;
  }
  clearInterval(ticking);
  wipe(pin);
  pin = new Uint8Array(0);
  part("view-digits").replaceChildren();
  part("view-spoken").textContent = "";
  part("view-shown").hidden = true;
  part("view-hidden-words").textContent = why;
  part("view-hidden").hidden = false;
  part("view-hidden-words").focus();
}
