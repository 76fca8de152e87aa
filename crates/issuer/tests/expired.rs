//! A card whose month is over: its PIN works nowhere, and every act on it says so.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use cards::{AdviceCode, CardStatus, Pan, PlaceState, Timestamp};
use issuer::{
    ActError, Refusal,
    activate_card::{ActivateCard, activate_card},
    card_status::card_status,
    import::{NewCard, import_cards},
    unlock_pin::{UnlockPin, unlock_pin},
};
use tempfile::TempDir;

use common::{Bank, NOW, expiry, new_card, programme};

/// 31 December 2030, the last day of the cards' last month, and the day after.
const LAST_DAY: Timestamp = Timestamp(1_924_905_600_000);
const DAY_AFTER: Timestamp = Timestamp(1_924_992_000_000);

#[tokio::test]
async fn acts_on_a_card_are_refused_once_its_month_is_over_and_its_status_tells_why() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), programme(), 1, "4829").await;
    let card = &cards[0];
    let unlock = async |now| {
        let request = UnlockPin {
            card: card.row,
            actor: card.actor.clone(),
        };
        unlock_pin(&bank.desk, request, now).await
    };
    let is = |ended: Result<(), ActError>, refusal| matches!(ended, Err(ActError::Refused(told)) if told == refusal);
    assert!(is(unlock(LAST_DAY).await, Refusal::NotLocked));
    assert!(is(unlock(DAY_AFTER).await, Refusal::CardExpired));

    let told = card_status(&bank.desk, card.row, LAST_DAY).await.unwrap();
    assert_eq!((told.status, told.advice.code), ("active", AdviceCode::UpToDate));
    let told = card_status(&bank.desk, card.row, DAY_AFTER).await.unwrap();
    assert_eq!(
        (told.status, told.advice.code),
        ("expired", AdviceCode::CardExpired)
    );
    assert_eq!(
        (told.advice.host, told.advice.chip),
        (PlaceState::NotInUse, PlaceState::NotInUse)
    );

    let pan = Pan::parse("9999010000000011").unwrap();
    let inactive = NewCard {
        status: CardStatus::Inactive,
        ..new_card(&programme(), &pan, "4829")
    };
    import_cards(&bank.desk, vec![inactive], "operator:7", NOW, &mut |_| {})
        .await
        .unwrap();
    let keys = bank.desk.hsm.card_keys(vec![pan]).await.unwrap();
    let activate = ActivateCard {
        card: keys[0].row,
        actor: card.actor.clone(),
        expiry: expiry(),
    };
    let late = activate_card(&bank.desk, activate, DAY_AFTER).await;
    assert!(is(late, Refusal::CardExpired));
}
