// @ts-check
/** The sandbox's page: starts its parts in the order in which they lean on each other. */

import { startAtm } from "./atm.js";
import { startLetter } from "./letter.js";
import { startOnline } from "./online.js";
import { startPlaces } from "./places.js";
import { startPolling } from "./poll.js";
import { startShop } from "./shop.js";
import { startTabs } from "./tabs.js";
import { startTour } from "./tour.js";
import { startUnread } from "./unread.js";
import { startWallet } from "./wallet.js";

/** @type {{reset: () => void}[]} */
const stations = [];
startWallet(() => {
  for (const station of stations) station.reset();
  letter.putAway();
});
const openTab = startTabs();
stations.push(startShop(), startAtm(), startOnline());
const letter = startLetter();
startPlaces();
startUnread();
startTour(openTab);
startPolling();
