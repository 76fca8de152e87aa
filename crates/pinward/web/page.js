// What every page does: brings the focus to what the page has to say.

document.querySelector("[data-focus]")?.focus();
