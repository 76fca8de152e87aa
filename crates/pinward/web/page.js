// What every page does: brings the focus to what the page has to say, and sends a form once, however often it is clicked.

document.querySelector("[data-focus]")?.focus();

let isSent = false;

document.addEventListener("submit", (event) => {
  if (event.defaultPrevented) {
    return;
  }
  if (isSent) {
    event.preventDefault();
  }
  isSent = true;
});

// Shown again by the back button, the page may send again.
globalThis.addEventListener("pageshow", () => {
  isSent = false;
});
