//! Creating, changing and viewing a PIN through single-use envelopes.
#![expect(clippy::unwrap_used, reason = "test helpers")]

mod support;

use std::collections::HashSet;
use std::sync::{Arc, Barrier};
use std::thread;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use cards::{CardRef, CardState, CardStatus, PinReference, SealedPin, Timestamp};
use hsm::{
    CheckRequest, ENVELOPE_TTL_MS, EnvelopeRequest, HsmCard, HsmError, HsmRefusal, KeyAdmin, PaymentHsm,
    PinChange, PinOperation, PinVerdict, RevealWhich, SealedEnvelope,
};
use paycrypto::pin::Pin;
use support::{
    Device, NOW, OTHER_PAN, PAN, World, card, card_in_state, changed_state, iso0, request, seal_pin,
};

async fn device(world: &World, card: &HsmCard, operation: PinOperation) -> Device {
    let request = request(card.key.row, operation);
    Device::new(world.hsm.open_envelope(request).await.unwrap())
}

fn refused<T>(refusal: HsmRefusal) -> Result<T, HsmError> {
    Err(HsmError::Refused(refusal))
}

async fn verdict(world: &World, sealed: SealedPin, pin: &str) -> Option<PinVerdict> {
    let card = card(&world.hsm, PAN, PinReference::Sealed(sealed)).await;
    let request = CheckRequest {
        card,
        cryptogram: None,
        pin: Some(iso0(PAN, pin)),
        new_pin: None,
    };
    world
        .hsm
        .check(vec![request])
        .await
        .unwrap()
        .remove(0)
        .unwrap()
        .pin
}

#[tokio::test]
async fn a_created_pin_is_the_one_that_matches_afterwards() {
    let world = World::new().await;
    let card = card(&world.hsm, PAN, PinReference::None).await;
    let device = device(&world, &card, PinOperation::CreatePin).await;
    let sealed = world
        .hsm
        .create_pin(card, device.envelope(None, Some("2580")))
        .await
        .unwrap();
    assert_eq!(
        verdict(&world, sealed.clone(), "2580").await,
        Some(PinVerdict::Match)
    );
    assert_eq!(verdict(&world, sealed, "2581").await, Some(PinVerdict::NoMatch));
}

#[tokio::test]
async fn a_change_gives_the_new_pin_only_for_the_current_one() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let right = device(&world, &card, PinOperation::ChangePin).await;
    let changed = world
        .hsm
        .change_pin(card.clone(), right.envelope(Some("1234"), Some("2580")))
        .await
        .unwrap();
    let PinChange::Matched(sealed) = changed else {
        panic!("the current PIN was right");
    };
    assert_eq!(verdict(&world, sealed, "2580").await, Some(PinVerdict::Match));
    let wrong = device(&world, &card, PinOperation::ChangePin).await;
    let answer = world
        .hsm
        .change_pin(card, wrong.envelope(Some("1235"), Some("2580")))
        .await;
    assert_eq!(answer, Ok(PinChange::NoMatch));
}

#[tokio::test]
async fn changing_to_the_same_pin_succeeds_like_any_other_change() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let device = device(&world, &card, PinOperation::ChangePin).await;
    let envelope = device.envelope(Some("1234"), Some("1234"));
    let answer = world.hsm.change_pin(card, envelope).await;
    assert!(matches!(answer, Ok(PinChange::Matched(_))));
}

#[tokio::test]
async fn a_pvv_card_can_change_its_pin_but_not_view_it() {
    let world = World::new().await;
    const PVV_PAN: &str = "1122334455667786";
    let reference = PinReference::Pvv {
        pvki: 3,
        pvv: [4, 0, 2, 1],
    };
    let card = card(&world.hsm, PVV_PAN, reference).await;
    let change = device(&world, &card, PinOperation::ChangePin).await;
    let answer = world
        .hsm
        .change_pin(card.clone(), change.envelope(Some("4524"), Some("2580")))
        .await;
    assert!(matches!(answer, Ok(PinChange::Matched(_))));
    let view = device(&world, &card, PinOperation::ViewPin).await;
    let answer = world
        .hsm
        .reveal_pin(card, RevealWhich::Current, view.envelope(None, None))
        .await;
    assert_eq!(answer, refused(HsmRefusal::Unsupported));
}

#[tokio::test]
async fn a_revealed_pin_can_be_read_by_its_device_only() {
    let world = World::new().await;
    let first = seal_pin(&world.hsm, PAN, "1111").await;
    let second = seal_pin(&world.hsm, PAN, "2222").await;
    let card = card_in_state(&world.hsm, PAN, &changed_state(first, second)).await;
    let cases = [
        (RevealWhich::Current, "2222"),
        (RevealWhich::OnChip { version: 1 }, "1111"),
    ];
    for (which, pin) in cases {
        let device = device(&world, &card, PinOperation::ViewPin).await;
        let revealed = world
            .hsm
            .reveal_pin(card.clone(), which, device.envelope(None, None))
            .await
            .unwrap();
        assert_eq!(device.read(revealed), Pin::parse(pin).unwrap());
    }
    let device = device(&world, &card, PinOperation::ViewPin).await;
    let not_kept = RevealWhich::OnChip { version: 2 };
    let answer = world
        .hsm
        .reveal_pin(card, not_kept, device.envelope(None, None))
        .await;
    assert_eq!(answer, refused(HsmRefusal::Unsupported));
}

#[tokio::test]
async fn an_offer_is_signed_by_the_identity_key() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let request = request(card.key.row, PinOperation::ChangePin);
    let offer = world.hsm.open_envelope(request).await.unwrap();
    let message = [
        b"pinward envelope v1".as_slice(),
        &offer.nonce,
        b"change_pin",
        offer.account.as_bytes(),
        &offer.expires.0.to_be_bytes(),
        &offer.hsm_public,
    ]
    .concat();
    let identity = world.hsm.envelope_identity().await.unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, identity)
        .verify(&message, &offer.signature)
        .unwrap();
    assert_eq!(offer.expires, NOW.plus_ms(ENVELOPE_TTL_MS));
    assert_eq!(offer.account.len(), 16);
}

/// Each row breaks one thing; nothing about the card's PIN may come out of it, and the envelope is spent.
#[tokio::test]
async fn an_envelope_serves_only_the_card_session_operation_and_time_it_was_made_for() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let other_card = world.card_with_pin(OTHER_PAN, "1234").await;
    type Break = fn(&mut SealedEnvelope);
    let rows: [(&str, Break); 4] = [
        ("other session", |sealed| sealed.session[0] ^= 1),
        ("expired to the millisecond", |sealed| {
            sealed.now = Timestamp(NOW.0 + ENVELOPE_TTL_MS);
        }),
        ("other nonce", |sealed| sealed.nonce[0] ^= 1),
        ("nothing", |_| {}),
    ];
    for (what, break_it) in rows {
        let device = device(&world, &card, PinOperation::ChangePin).await;
        let mut sealed = device.envelope(Some("1234"), Some("2580"));
        let whole = sealed.clone();
        break_it(&mut sealed);
        let answer = world.hsm.change_pin(card.clone(), sealed.clone()).await;
        if what == "nothing" {
            assert!(answer.is_ok());
        } else {
            assert_eq!(answer, refused(HsmRefusal::Envelope), "{what}");
        }
        if sealed.nonce == whole.nonce {
            let again = world.hsm.change_pin(card.clone(), whole).await;
            assert_eq!(again, refused(HsmRefusal::Envelope), "spent by: {what}");
        }
    }
    let for_other_card = device(&world, &other_card, PinOperation::ChangePin).await;
    let answer = world
        .hsm
        .change_pin(card.clone(), for_other_card.envelope(Some("1234"), Some("2580")))
        .await;
    assert_eq!(answer, refused(HsmRefusal::Envelope));
    let for_create = device(&world, &card, PinOperation::CreatePin).await;
    let answer = world
        .hsm
        .change_pin(card.clone(), for_create.envelope(Some("1234"), Some("2580")))
        .await;
    assert_eq!(answer, refused(HsmRefusal::Envelope));
    let for_change = device(&world, &card, PinOperation::ChangePin).await;
    let answer = world
        .hsm
        .create_pin(card.clone(), for_change.envelope(None, Some("2580")))
        .await;
    assert_eq!(answer, refused(HsmRefusal::Envelope));
    let answer = world
        .hsm
        .reveal_pin(card, RevealWhich::Current, for_change.envelope(None, None))
        .await;
    assert_eq!(answer, refused(HsmRefusal::Envelope));
}

/// A refusal costs no try, so what is refused must not depend on whether the current PIN was right (A6).
#[tokio::test]
async fn every_fault_of_a_change_is_refused_alike_whether_the_current_pin_is_right_or_wrong() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let breaks: [fn(&mut SealedEnvelope); 7] = [
        |sealed| sealed.new_pin = None,
        |sealed| sealed.current_pin = None,
        |sealed| sealed.new_pin = Some([0; 16]),
        |sealed| sealed.current_pin = Some([0; 16]),
        |sealed| sealed.new_pin = sealed.current_pin,
        |sealed| sealed.device_public[64] ^= 1,
        |sealed| sealed.device_public.truncate(33),
    ];
    for current in ["1234", "1235"] {
        for break_it in breaks {
            let device = device(&world, &card, PinOperation::ChangePin).await;
            let mut sealed = device.envelope(Some(current), Some("2580"));
            break_it(&mut sealed);
            let answer = world.hsm.change_pin(card.clone(), sealed).await;
            assert_eq!(answer, refused(HsmRefusal::PinBlock));
        }
        for wrong_length in ["25801", "258013", "123456789012"] {
            let device = device(&world, &card, PinOperation::ChangePin).await;
            let sealed = device.envelope(Some(current), Some(wrong_length));
            let answer = world.hsm.change_pin(card.clone(), sealed).await;
            assert_eq!(answer, refused(HsmRefusal::PinBlock));
        }
    }
}

#[tokio::test]
async fn an_envelope_carries_the_pins_of_its_operation_and_no_others() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let create = device(&world, &card, PinOperation::CreatePin).await;
    let answer = world
        .hsm
        .create_pin(card.clone(), create.envelope(Some("1234"), Some("2580")))
        .await;
    assert_eq!(answer, refused(HsmRefusal::PinBlock));
    let view = device(&world, &card, PinOperation::ViewPin).await;
    let answer = world
        .hsm
        .reveal_pin(card, RevealWhich::Current, view.envelope(None, Some("2580")))
        .await;
    assert_eq!(answer, refused(HsmRefusal::PinBlock));
}

#[tokio::test]
async fn a_changed_card_record_is_refused_before_its_envelope_is_opened() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let device = device(&world, &card, PinOperation::ChangePin).await;
    let mut edited = card.clone();
    edited.mac.0[0] ^= 1;
    let envelope = device.envelope(Some("1234"), Some("2580"));
    let answer = world.hsm.change_pin(edited, envelope.clone()).await;
    assert_eq!(answer, refused(HsmRefusal::CardTampered));
    assert!(world.hsm.change_pin(card, envelope).await.is_ok());
}

#[tokio::test]
async fn thirty_two_threads_with_one_envelope_get_one_evaluation() {
    let world = Arc::new(World::new().await);
    let card = world.card_with_pin(PAN, "1234").await;
    let device = device(&world, &card, PinOperation::ChangePin).await;
    let envelope = device.envelope(Some("9999"), Some("2580"));
    let start = Arc::new(Barrier::new(32));
    let threads: Vec<_> = (0..32)
        .map(|_| {
            let (world, start) = (Arc::clone(&world), Arc::clone(&start));
            let (card, envelope) = (card.clone(), envelope.clone());
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                start.wait();
                runtime.block_on(world.hsm.change_pin(card, envelope))
            })
        })
        .collect();
    let answers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let evaluated = answers
        .iter()
        .filter(|answer| **answer == Ok(PinChange::NoMatch))
        .count();
    let spent = answers
        .iter()
        .filter(|answer| **answer == refused(HsmRefusal::Envelope))
        .count();
    assert_eq!((evaluated, spent), (1, 31));
}

#[tokio::test]
async fn too_many_open_envelopes_are_refused_until_the_first_expire() {
    let world = World::new().await;
    let mut nonces = HashSet::new();
    for number in 0..10_000 {
        let request = request(CardRef(number), PinOperation::ViewPin);
        nonces.insert(world.hsm.open_envelope(request).await.unwrap().nonce);
    }
    assert_eq!(nonces.len(), 10_000);
    let one_more = request(CardRef(1), PinOperation::ViewPin);
    let answer = world.hsm.open_envelope(one_more.clone()).await;
    assert_eq!(answer, refused(HsmRefusal::Busy));
    let later = EnvelopeRequest {
        now: NOW.plus_ms(ENVELOPE_TTL_MS),
        ..one_more
    };
    assert!(world.hsm.open_envelope(later).await.is_ok());
}

#[tokio::test]
async fn an_envelope_for_an_impossible_pin_length_is_not_opened() {
    let world = World::new().await;
    for pin_len_digits in [0, 3, 13] {
        let request = EnvelopeRequest {
            pin_len_digits,
            ..request(CardRef(1), PinOperation::CreatePin)
        };
        let answer = world.hsm.open_envelope(request).await;
        assert_eq!(answer, refused(HsmRefusal::PinBlock));
    }
}

#[tokio::test]
async fn a_programme_with_longer_pins_takes_exactly_those() {
    let world = World::new().await;
    let state = CardState::delivered(CardStatus::Active, PinReference::None, 3);
    let card = card_in_state(&world.hsm, PAN, &state).await;
    for (pin, taken) in [("258013", true), ("2580", false)] {
        let request = EnvelopeRequest {
            pin_len_digits: 6,
            ..request(card.key.row, PinOperation::CreatePin)
        };
        let device = Device::new(world.hsm.open_envelope(request).await.unwrap());
        let answer = world
            .hsm
            .create_pin(card.clone(), device.envelope(None, Some(pin)))
            .await;
        assert_eq!(answer.is_ok(), taken);
    }
}
