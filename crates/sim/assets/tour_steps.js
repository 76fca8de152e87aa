// @ts-check
/**
 * The seven steps of the tour, and how the page knows that one is done. Pages of the bank's website can't be seen from
 * here (another origin), so a step is done when the product's own status says so, or when it happened on this page.
 */

/**
 * @typedef {object} Facts
 * @property {string | null} card the card the story is about: the one whose PIN changed
 * @property {Record<string, number>} versions the bank's PIN version of each card when the tour began
 * @property {number | null} mails mails in the mailbox when the tour began
 * @property {string[]} acts what happened on this page
 * @property {boolean} changed the bank has a newer PIN for the card
 * @property {boolean} sent the update is on its way to the chip, or there
 * @property {boolean} confirmed the chip itself proved that it has the PIN
 * @property {boolean} atmAfterChange a cash machine approved after the change
 * @property {boolean} mailed a mail arrived after the change
 */

/**
 * @typedef {object} Step
 * @property {string} title
 * @property {string} text
 * @property {string} control id of the element that the step speaks of
 * @property {string} [tab] the station it is in
 * @property {(facts: Facts) => boolean} done
 */

/** @returns {Facts} */
export function freshFacts() {
  return {
    card: null,
    versions: {},
    mails: null,
    acts: [],
    changed: false,
    sent: false,
    confirmed: false,
    atmAfterChange: false,
    mailed: false,
  };
}

/** @type {Step[]} */
export const STEPS = [
  {
    title: "Open the bank's website",
    text: "Pick up a card that is active and sign in as its owner. The user IDs and passwords are listed below. The site opens in a tab of its own; come back here afterwards.",
    control: "portal-link",
    done: (facts) => facts.acts.includes("portal") || facts.changed,
  },
  {
    title: "Change the PIN there",
    text: "Account Management, Manage Card PIN, Change PIN. It asks for the current PIN: it is in the card's PIN letter, under the wallet. This step notices by itself when the bank has the new one.",
    control: "letter-show",
    done: (facts) => facts.changed,
  },
  {
    title: "In the shop, the old PIN once more",
    text: "The bank has the new PIN, but the chip can't know it yet. Insert the card, key the previous PIN and press OK. The bank's answer carries the new PIN to the chip.",
    control: "shop-insert",
    tab: "tab-shop",
    done: (facts) => facts.sent,
  },
  {
    title: "Tap, and the chip confirms",
    text: "A tap can't bring a PIN to the chip, but the chip signs each payment, and in that signature it reports what it took. Only then does the bank call it done.",
    control: "shop-tap",
    tab: "tab-shop",
    done: (facts) => facts.confirmed,
  },
  {
    title: "Both places, one PIN",
    text: "The drawing now shows your new PIN, the same at the bank and on the chip. Below it stands what the plastic really holds. Unfold Behind the scenes under a receipt to read what was said.",
    control: "places",
    done: (facts) => facts.confirmed,
  },
  {
    title: "The cash machine takes the new PIN",
    text: "The bank itself checks a PIN keyed at a cash machine, so the new one has worked here since the moment of the change. Insert the card, key the new PIN, choose cash or balance.",
    control: "atm-insert",
    tab: "tab-atm",
    done: (facts) => facts.atmAfterChange,
  },
  {
    title: "The mails have arrived",
    text: "One when the PIN was set, one when the chip had it. Open the mailbox to read them.",
    control: "mailbox-link",
    done: (facts) => facts.mailed && facts.acts.includes("mailbox"),
  },
];

/**
 * What is known after an answer of the server.
 * @param {Facts} facts
 * @param {import("./api.js").SandboxState} state
 * @param {string | null} held the card in the hand
 * @returns {Facts}
 */
export function observe(facts, state, held) {
  const versions = { ...facts.versions };
  for (const { card, bank } of state.cards) {
    if (bank && !(card in versions)) versions[card] = bank.host.version;
  }
  const mails = facts.mails ?? state.mail.total;
  const changed = state.cards.filter(({ card, bank }) => bank && bank.host.version > (versions[card] ?? Infinity));
  const story =
    changed.find(({ card }) => card === facts.card) ?? changed.find(({ card }) => card === held) ?? changed[0];
  const bank = story?.bank;
  const chipHasIt = bank?.chip.state === "new";
  return {
    ...facts,
    versions,
    mails,
    card: story?.card ?? facts.card,
    changed: facts.changed || story !== undefined,
    sent: facts.sent || (bank !== undefined && bank !== null && (bank.script.in_flight !== null || chipHasIt)),
    confirmed: facts.confirmed || chipHasIt,
    mailed: facts.mailed || state.mail.total > mails,
  };
}
