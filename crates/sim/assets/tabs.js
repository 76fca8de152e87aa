// @ts-check
/** The stations' tabs: arrow keys, Home and End move, as the ARIA pattern for tabs asks. */

/** @returns {(id: string) => void} opens the tab with this id */
export function startTabs() {
  const tabs = [...document.querySelectorAll('[role="tab"]')].filter((tab) => tab instanceof HTMLElement);

  /** @param {HTMLElement} chosen */
  const open = (chosen) => {
    for (const tab of tabs) {
      const isChosen = tab === chosen;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      const panel = document.getElementById(tab.getAttribute("aria-controls") ?? "");
      if (panel) panel.hidden = !isChosen;
    }
  };

  tabs.forEach((tab, at) => {
    tab.addEventListener("click", () => open(tab));
    tab.addEventListener("keydown", (event) => {
      const last = tabs.length - 1;
      const goals = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last };
      const goal = tabs[goals[/** @type {keyof typeof goals} */ (event.key)] ?? -1];
      if (!goal) return;
      event.preventDefault();
      open(goal);
      goal.focus();
    });
  });

  return (id) => {
    const tab = tabs.find((candidate) => candidate.id === id);
    if (tab) open(tab);
  };
}
