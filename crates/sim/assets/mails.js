// @ts-check
/** The mailbox's list: shows itself anew when a mail has arrived. */

import { onState, startPolling } from "./poll.js";
import { startUnread } from "./unread.js";

/** @type {number | null} */
let total = null;
onState((state) => {
  if (total !== null && state.mail.total !== total) location.reload();
  total = state.mail.total;
});
startUnread();
startPolling();
