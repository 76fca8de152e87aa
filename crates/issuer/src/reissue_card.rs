//! A card gets a new plastic: the same number with a new expiry or sequence number (reissue), or a new number for a lost
//! or stolen card (replacement).
//!
//! Whether the PIN goes along is the programme's rule. Tries always go along: a new plastic refills nothing (I9).

use std::slice;

use cards::{
    CardKey, CardRef, CardState, CardStatus, ChipVersion, Expiry, Pan, PinReference, Psn, SealedPan,
    Timestamp,
};
use hsm::HsmFault;
use store::{AttemptWrite, AuditEvent, CardRecord, NewState, Reissue, ReissueOutcome};

use crate::counted::only;
use crate::desk::OpenCard;
use crate::{Desk, Fault};

/// The new plastic.
#[derive(Clone, Debug)]
pub struct NewPlastic {
    /// The card that gets it.
    pub card: CardRef,
    /// A new number for a replacement; `None` for a reissue.
    pub pan: Option<Pan>,
    pub psn: Psn,
    pub expiry: Expiry,
    /// For a reissue: the PIN version that the new chip was personalised with, where it isn't the host's of now.
    pub personalised_version: Option<u32>,
    /// Who asks, for the audit trail: `operator:0`.
    pub actor: String,
}

/// Why a card gets no new plastic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReissueRefusal {
    #[error("there is no such card")]
    NoSuchCard,
    #[error("the card is blocked: give it a new number")]
    CardBlocked,
    #[error("the new plastic's last month of validity is over")]
    Expired,
    #[error("expiry and card sequence number are the present card's")]
    SamePlastic,
    #[error("the new number is the present card's: leave it out for a reissue")]
    SameNumber,
    #[error("another card has the new number")]
    NumberInUse,
    #[error("the programme's card numbers have {wanted} digits")]
    NumberLength { wanted: u8 },
    #[error("the chip can't have version {version}: the card has had PIN versions up to {newest}")]
    NoSuchVersion { version: u32, newest: u32 },
    #[error("the programme keeps no PIN at a reissue, so the new chip has no version")]
    NoPinKept,
    #[error("the card changed at the same moment: try again")]
    TryAgain,
}

/// How a reissue ends badly.
#[derive(Debug, thiserror::Error)]
pub enum ReissueError {
    #[error(transparent)]
    Refused(#[from] ReissueRefusal),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Puts a new plastic in the place of the present one. Answers the card's reference from now on.
///
/// A reissue takes effect at once: from now on the host speaks to the new chip. A replacement is a new card, inactive
/// until its cardmember activates it; the present card is blocked in the same commit. Its number can only take a PIN
/// along that the HSM has sealed: a verification value is the old number's, and ends with it.
pub async fn reissue_card(desk: &Desk, plastic: NewPlastic, now: Timestamp) -> Result<CardRef, ReissueError> {
    let record = desk.store.card(plastic.card).await.map_err(Fault::from)?;
    let card = desk.open(record.ok_or(ReissueRefusal::NoSuchCard)?)?;
    desk.require_untampered(slice::from_ref(&card)).await?;
    let (year, month) = now.utc_year_month();
    if plastic.expiry.is_past(year, month) {
        return Err(ReissueRefusal::Expired.into());
    }
    let new = match &plastic.pan {
        None => reissue(desk, &card, &plastic, now).await?,
        Some(pan) => replace(desk, &card, &plastic, pan, now).await?,
    };
    let reference = new.record.key.row;
    let reissue = Reissue {
        old: card.row(),
        expected_version: card.record.version,
        new: new.record,
        old_state: new.old_state,
        attempts: ended_with_the_plastic(&card, &plastic, now),
        audit: new.audit,
    };
    match desk.store.reissue_card(reissue).await.map_err(Fault::from)? {
        ReissueOutcome::Done => Ok(reference),
        ReissueOutcome::VersionConflict => Err(ReissueRefusal::TryAgain.into()),
        ReissueOutcome::NumberTaken => Err(ReissueRefusal::NumberInUse.into()),
    }
}

/// The card from now on.
struct Reissued {
    record: CardRecord,
    /// Of the present number, where it gets another one.
    old_state: Option<NewState>,
    audit: Vec<AuditEvent>,
}

/// What was under way to the old chip: nobody will ever hear whether it came.
fn ended_with_the_plastic(card: &OpenCard<'_>, plastic: &NewPlastic, now: Timestamp) -> Vec<AttemptWrite> {
    let evidence = match plastic.pan {
        None => "the card was reissued before the chip told",
        Some(_) => "the card was replaced before the chip told",
    };
    let ended = card.state.script.under_way().map(|sent| AttemptWrite::Resolved {
        attempt: sent.attempt,
        outcome: "plastic_gone",
        evidence: evidence.to_owned(),
        at: now,
    });
    ended.collect()
}

async fn reissue(
    desk: &Desk,
    card: &OpenCard<'_>,
    plastic: &NewPlastic,
    now: Timestamp,
) -> Result<Reissued, ReissueError> {
    if card.state.status == CardStatus::Blocked {
        return Err(ReissueRefusal::CardBlocked.into());
    }
    if (plastic.expiry, plastic.psn) == (card.record.expiry, card.record.psn) {
        return Err(ReissueRefusal::SamePlastic.into());
    }
    let keeps_pin = card.programme.reissue.reissue_keeps_pin;
    let chip = personalised(&card.state, keeps_pin, plastic.personalised_version)?;
    let state = card.state.reissued(chip, &card.programme.script_rules(), now);
    let record = CardRecord {
        psn: plastic.psn,
        expiry: plastic.expiry,
        ..card.record.clone()
    };
    Ok(Reissued {
        record: sealed(desk, record, state).await?,
        old_state: None,
        audit: vec![event("card_reissued", card.row(), plastic, keeps_pin, now)],
    })
}

/// What the new chip has: the PIN version that the operator names, else the host's of now.
fn personalised(
    state: &CardState,
    keeps_pin: bool,
    version: Option<u32>,
) -> Result<ChipVersion, ReissueRefusal> {
    let newest = state.host.version;
    match version {
        None if keeps_pin => Ok(state.host_chip_version()),
        None => Ok(ChipVersion {
            version: 0,
            sealed: None,
        }),
        Some(_) if !keeps_pin => Err(ReissueRefusal::NoPinKept),
        Some(version) if (1..=newest).contains(&version) => Ok(ChipVersion {
            version,
            sealed: state.host_chip_version().sealed.filter(|_| version == newest),
        }),
        Some(version) => Err(ReissueRefusal::NoSuchVersion { version, newest }),
    }
}

async fn replace(
    desk: &Desk,
    card: &OpenCard<'_>,
    plastic: &NewPlastic,
    pan: &Pan,
    now: Timestamp,
) -> Result<Reissued, ReissueError> {
    let wanted = card.programme.pan_len_digits;
    if usize::from(wanted) != pan.len_digits() {
        return Err(ReissueRefusal::NumberLength { wanted }.into());
    }
    let (key, sealed_pan) = number(desk, pan).await?;
    if key == card.record.key {
        return Err(ReissueRefusal::SameNumber.into());
    }
    let keeps_pin = card.programme.reissue.replacement_keeps_pin
        && matches!(card.state.host.reference, PinReference::Sealed(_));
    let reference = match keeps_pin {
        true => {
            let moved = desk.hsm.move_pin(card.for_hsm(), pan.clone()).await;
            PinReference::Sealed(moved.map_err(|error| Fault::of_hsm(error, card.row()))?)
        }
        false => PinReference::None,
    };
    let state = card.state.moved(reference, card.programme.tries_max);
    let record = CardRecord {
        key,
        pan: sealed_pan,
        psn: plastic.psn,
        expiry: plastic.expiry,
        last_four: pan.last_four().to_owned(),
        ..card.record.clone()
    };
    let old_state = desk.seal(card, &card.state.replaced()).await;
    Ok(Reissued {
        record: sealed(desk, record, state).await?,
        old_state: Some(old_state.map_err(Fault::from)?),
        audit: vec![
            event("card_blocked", card.row(), plastic, keeps_pin, now),
            event("card_replaced", key.row, plastic, keeps_pin, now),
        ],
    })
}

/// A number's key and sealed PAN.
async fn number(desk: &Desk, pan: &Pan) -> Result<(CardKey, SealedPan), Fault> {
    let key = only(desk.hsm.card_keys(vec![pan.clone()]).await?, HsmFault::NoAnswer)?;
    let sealed_pan = only(desk.hsm.seal_pans(vec![pan.clone()]).await?, HsmFault::NoAnswer)?;
    Ok((key, sealed_pan))
}

async fn sealed(desk: &Desk, record: CardRecord, state: CardState) -> Result<CardRecord, Fault> {
    Ok(only(
        desk.sealed(vec![(record, state)]).await?,
        HsmFault::NoAnswer,
    )?)
}

fn event(
    kind: &'static str,
    card: CardRef,
    plastic: &NewPlastic,
    keeps_pin: bool,
    now: Timestamp,
) -> AuditEvent {
    AuditEvent {
        at: now,
        kind,
        card: Some(card),
        actor: plastic.actor.clone(),
        detail: format!(
            r#"{{"expiry":"{}","psn":{},"pin_kept":{keeps_pin}}}"#,
            plastic.expiry.yymm(),
            plastic.psn.number()
        ),
    }
}
