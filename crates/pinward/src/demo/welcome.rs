//! What a newcomer reads when the demo is up.

use std::io::{self, Write};
use std::path::Path;

use super::{Addresses, issuer, reachable};

pub(super) fn say(data: &Path, addresses: Addresses, out: &mut dyn Write) -> io::Result<()> {
    let url = |address| format!("http://{}", reachable(address));
    let data = shorter(data).display().to_string();
    write!(
        out,
        "Larkfield Bank is open.

  Portal     {web:<21}    where cardmembers manage their PINs
  Sandbox    {sandbox:<21}    their cards, a shop, a cash machine, the mailbox
  ISO 8583   {host:<21}    the bank's authorisation host
  Data       {data:<21}    --fresh starts over

  sign in    password          has
",
        web = url(addresses.web),
        sandbox = url(addresses.sandbox),
        host = addresses.host.to_string(),
    )?;
    for person in &issuer::PEOPLE {
        writeln!(
            out,
            "  {:<9}  {:<16}  {}",
            person.user_id, person.password, person.note
        )?;
    }
    out.write_all(
        b"
Try this first
  1. Sandbox: open the PIN letter of Ada's credit card and buy something in the shop with that PIN.
  2. Portal: sign in as ada and change the PIN of that card.
  3. Sandbox: insert it in the shop with the old PIN, once more; the answer brings the new one to the chip.
  4. Pay there again with the new PIN: the chip proves that it has it, and a mail says so.
  5. The cash machine takes a new PIN at once: change it again and go there first.
  6. Sandbox, Bench: play everything, with a card of every chip profile.

Everybody here is fictional, and the HSM is software: for demos and development. Ctrl-C stops everything.
",
    )?;
    out.flush()
}

/// Relative to where we are, when that is shorter.
fn shorter(path: &Path) -> &Path {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path)
}
