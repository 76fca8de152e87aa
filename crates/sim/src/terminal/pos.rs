//! A sale with the card in the reader: PIN checked by the chip, cryptogram checked by the host, script to the chip.

use paycrypto::pin::Pin;

use super::contact::Contact;
use super::deal::Deal;
use super::journey::{Faults, Journey};
use super::profile::TerminalProfile;
use super::slot::Card;
use crate::acquirer::Acquirer;

/// Sells for an amount in minor units at the corner shop. `keyed` are the PINs keyed one after the other, until one is right; with none, PIN
/// entry is passed over. When they run out after a wrong one, the card is taken out and nothing goes to the host.
pub async fn buy(
    card: &mut dyn Card,
    keyed: &[Pin],
    amount: u64,
    acquirer: &Acquirer,
    faults: Faults,
) -> Journey {
    let contact = Contact {
        profile: TerminalProfile::corner_shop(),
        deal: Deal::Sale(amount),
        new_pin: None,
        acquirer,
        faults,
    };
    contact.run(card, keyed).await
}
