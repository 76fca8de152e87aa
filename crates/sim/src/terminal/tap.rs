//! A contactless sale: one cryptogram, no PIN, no second cryptogram, no script. The card is gone before the host answers.

use emv::bits::TvrBit;
use emv::cvm::{CvmMethod, CvmOutcome, CvmResults, CvmRule};
use emv::field55::CryptogramKind;
use iso8583::values::CardEntry;

use super::deal::Deal;
use super::journey::{Faults, Journey, Outcome, Trouble};
use super::online;
use super::profile::TerminalProfile;
use super::reader::CardReader;
use super::receipt;
use super::slot::Card;
use super::terminal_data::TerminalData;
use crate::acquirer::Acquirer;
use crate::acquirer::message::Message;
use crate::card::chip::Interface;

/// Tag 9F39 for a tap.
const ENTRY_MODE_07: u8 = 0x07;

/// Sells for an amount in minor units at the corner shop. A card can't be pulled from a tap: of the faults, only a lost
/// answer counts.
pub async fn buy(card: &mut dyn Card, amount: u64, acquirer: &Acquirer, faults: Faults) -> Journey {
    buy_at(&TerminalProfile::corner_shop(), card, amount, acquirer, faults).await
}

/// The same at a terminal of one's choice.
pub async fn buy_at(
    profile: &TerminalProfile,
    card: &mut dyn Card,
    amount: u64,
    acquirer: &Acquirer,
    faults: Faults,
) -> Journey {
    let deal = Deal::Sale(amount);
    let mut reader = CardReader::insert(card, Interface::Contactless);
    let tapped = tap(&mut reader, profile, deal, acquirer);
    reader.remove();
    let mut trace = reader.trace;
    let outcome = match tapped {
        Ok(Some(request)) => online::decide(acquirer, profile, deal, &request, faults, &mut trace).await,
        Ok(None) => Outcome {
            display: vec!["DECLINED BY CARD".to_owned()],
            ..Outcome::default()
        },
        Err(trouble) => {
            let mut outcome = Outcome::default();
            receipt::say_trouble(&mut outcome, trouble);
            outcome
        }
    };
    Journey {
        outcome,
        trace: trace.0,
    }
}

/// The request with the card's cryptogram; none where the card declines.
fn tap(
    reader: &mut CardReader<'_>,
    profile: &TerminalProfile,
    deal: Deal,
    acquirer: &Acquirer,
) -> Result<Option<Message>, Trouble> {
    let transaction_type = deal.transaction_type(acquirer.processing_codes());
    let mut terminal = TerminalData::new(profile, deal.amount(), transaction_type);
    let mut card = reader.read_card(profile, &terminal)?;
    terminal.cvm_results = CvmResults {
        rule: CvmRule {
            method: CvmMethod::NoCvm,
            next_if_fails: false,
            condition: 0,
        },
        outcome: CvmOutcome::Successful,
    };
    terminal.tvr = terminal
        .tvr
        .with(TvrBit::OfflineDataAuthenticationNotPerformed)
        .with(TvrBit::FloorLimitExceeded);
    let cryptogram = reader.first_ac(&mut card, CryptogramKind::Arqc, &terminal, None)?;
    if cryptogram.kind != CryptogramKind::Arqc {
        return Ok(None);
    }
    let mut request = online::request(acquirer, profile, deal, CardEntry::ContactlessChip);
    card.put_account(&mut request)?;
    request.put(
        55,
        card.chip_data(&terminal, &cryptogram, profile, ENTRY_MODE_07)?,
    );
    Ok(Some(request))
}
