//! A contactless sale: one cryptogram, no PIN, no second cryptogram, no script. The card is gone before the host answers.

use emv::bits::Tvr;
use emv::cvm::{CvmMethod, CvmOutcome, CvmResults, CvmRule};
use emv::field55::CryptogramKind;
use iso8583::values::CardEntry;

use super::contact::online_only;
use super::journey::{Faults, Journey, Outcome};
use super::merchant::{self, Merchant};
use super::online::{self, Asked, Deal};
use super::reader::{CardReader, CardTrouble, TerminalData};
use super::receipt::{self, ReceiptCvm};
use crate::acquirer::Acquirer;
use crate::acquirer::message::Message;
use crate::card::chip::{Chip, Interface};

/// Tag 9F39 for a tap.
const ENTRY_MODE_07: u8 = 0x07;

/// Sells for an amount in minor units. A card can't be pulled from a tap: of the faults, only a lost answer counts.
pub async fn buy(chip: &mut Chip, amount: u64, acquirer: &Acquirer, faults: Faults) -> Journey {
    let (merchant, deal) = (merchant::grocer(), Deal::Sale(amount));
    let mut reader = CardReader::insert(chip, Interface::Contactless);
    let tapped = tap(&mut reader, &merchant, deal, acquirer);
    reader.remove();
    let mut trace = reader.trace;
    let mut outcome = Outcome::default();
    match tapped {
        Err(trouble) => outcome.display.push(receipt::trouble(trouble)),
        Ok(None) => outcome.display.push("DECLINED BY CARD".to_owned()),
        Ok(Some(request)) => match online::ask(acquirer, &request, faults, &mut trace).await {
            Asked::Answered(answer) => {
                outcome.approved = online::is_approved(&answer);
                outcome.response_code = answer.response_code();
                outcome.display = receipt::decision(deal, &answer, outcome.approved);
                let cvm = ReceiptCvm::None;
                outcome.receipt =
                    receipt::lines(&merchant, deal, &request, Some(&answer), cvm, outcome.approved);
            }
            Asked::Reversed | Asked::Unreachable => {
                outcome.host_unreachable = true;
                outcome.display.push("NO CONNECTION, DECLINED".to_owned());
            }
        },
    }
    Journey {
        outcome,
        trace: trace.0,
    }
}

/// The request with the card's cryptogram; none where the card declines.
fn tap(
    reader: &mut CardReader<'_>,
    merchant: &Merchant,
    deal: Deal,
    acquirer: &Acquirer,
) -> Result<Option<Message>, CardTrouble> {
    let card = reader.read_card()?;
    let no_cvm = CvmResults {
        rule: CvmRule {
            method: CvmMethod::NoCvm,
            next_if_fails: false,
            condition: 0,
        },
        outcome: CvmOutcome::Successful,
    };
    let tvr = online_only(Tvr::default());
    let terminal = TerminalData::new(merchant, deal.amount(), deal.transaction_type(), tvr, no_cvm);
    let cryptogram = reader.first_ac(&card, CryptogramKind::Arqc, &terminal)?;
    if cryptogram.kind != CryptogramKind::Arqc {
        return Ok(None);
    }
    let mut request = online::request(acquirer, merchant, deal, CardEntry::ContactlessChip);
    card.put_account(&mut request)?;
    request.put(
        55,
        card.chip_data(&terminal, &cryptogram, merchant, ENTRY_MODE_07)?,
    );
    Ok(Some(request))
}
