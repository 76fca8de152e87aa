//! What a newcomer reads when the demo is up.

use std::io::{self, Write};
use std::path::Path;

use super::{Addresses, issuer, reachable};

pub(super) fn say(data: &Path, addresses: Addresses, out: &mut dyn Write) -> io::Result<()> {
    let (web, sandbox) = (reachable(addresses.web), reachable(addresses.sandbox));
    let data = shorter(data);
    write!(
        out,
        "Larkfield Bank is open.

  Portal     http://{web}    where cardmembers manage their PINs
  Sandbox    http://{sandbox}    their cards, a shop, a cash machine, the mailbox
  ISO 8583   {host}           the bank's authorisation host
  Data       {data}    --fresh starts over

  sign in    password          has
",
        host = addresses.host,
        data = data.display(),
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
  3. Sandbox: the cash machine takes the new PIN at once; the shop takes the old one, once more.
  4. Insert the card in the shop again: the chip has the new PIN, and a mail says so.

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
