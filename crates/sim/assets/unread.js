// @ts-check
/** The number of unread mails, in the page's head. */

import { byId, say } from "./dom.js";
import { onState } from "./poll.js";

export function startUnread() {
  onState((state) => {
    byId("unread").hidden = state.mail.unread === 0;
    say(byId("unread-count"), String(state.mail.unread));
  });
}
