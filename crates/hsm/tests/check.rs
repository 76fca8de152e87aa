//! What the authorisation path asks: cryptograms and online PINs.
#![expect(clippy::unwrap_used, reason = "test helpers")]

mod support;

use std::collections::HashSet;

use cards::{CardState, CardStatus, PinReference, Psn};
use hsm::{
    CheckReply, CheckRequest, ChipAnswerRequest, ChipDecision, HsmCard, HsmRefusal, ImportPin, Item,
    PaymentHsm, PinVerdict, ScriptOrder, ZonePin, ZonePinFormat,
};
use support::{OTHER_PAN, PAN, World, card, cryptogram, iso0, iso4, name, seal_pin};

async fn check(world: &World, card: &HsmCard, pin: ZonePin) -> Item<CheckReply> {
    let request = CheckRequest {
        card: card.clone(),
        cryptogram: None,
        pin: Some(pin),
        new_pin: None,
    };
    world.hsm.check(vec![request]).await.unwrap().remove(0)
}

fn verdict(verdict: PinVerdict) -> Item<CheckReply> {
    Ok(CheckReply {
        cryptogram_valid: None,
        pin: Some(verdict),
        new_pin: None,
    })
}

#[tokio::test]
async fn an_online_pin_is_compared_with_the_sealed_reference_in_both_formats() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let cases = [
        (iso0(PAN, "1234"), PinVerdict::Match),
        (iso0(PAN, "1235"), PinVerdict::NoMatch),
        (iso0(PAN, "12340"), PinVerdict::NoMatch),
        (iso4(PAN, "1234"), PinVerdict::Match),
        (iso4(PAN, "4321"), PinVerdict::NoMatch),
        (iso4(OTHER_PAN, "1234"), PinVerdict::Unreadable),
    ];
    for (pin, expected) in cases {
        assert_eq!(check(&world, &card, pin).await, verdict(expected));
    }
}

#[tokio::test]
async fn a_pvv_is_verified_with_the_key_of_its_pvki_only() {
    // source: pin-and-emv.md 4.4: PVK 0123...3210, PVKI 3, PIN 4524, PAN 1122334455667788 -> 4021. That PAN has a
    // wrong check digit, which the PVV leaves out; this is the same PAN with the right one.
    const PVV_PAN: &str = "1122334455667786";
    let world = World::new().await;
    let reference = |pvki, pvv| PinReference::Pvv { pvki, pvv };
    let right = card(&world.hsm, PVV_PAN, reference(3, [4, 0, 2, 1])).await;
    assert_eq!(
        check(&world, &right, iso0(PVV_PAN, "4524")).await,
        verdict(PinVerdict::Match)
    );
    assert_eq!(
        check(&world, &right, iso0(PVV_PAN, "4525")).await,
        verdict(PinVerdict::NoMatch)
    );
    let without_key = card(&world.hsm, PVV_PAN, reference(4, [4, 0, 2, 1])).await;
    assert_eq!(
        check(&world, &without_key, iso0(PVV_PAN, "4524")).await,
        Err(HsmRefusal::NoSuchKey)
    );
}

#[tokio::test]
async fn a_card_without_a_pin_has_nothing_to_compare() {
    let world = World::new().await;
    let card = card(&world.hsm, PAN, PinReference::None).await;
    assert_eq!(
        check(&world, &card, iso0(PAN, "1234")).await,
        verdict(PinVerdict::NoReference)
    );
}

#[tokio::test]
async fn ten_thousand_corrupted_pin_blocks_get_one_and_the_same_answer() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    let mut requests = Vec::new();
    for number in 0..10_000 {
        let mut pin = match number % 2 {
            0 => iso0(PAN, "1234"),
            _ => iso4(PAN, "1234"),
        };
        for byte in &mut pin.block {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte ^= dice.to_be_bytes()[0];
        }
        pin.block.truncate(if number % 10 < 8 { 16 } else { number % 16 });
        requests.push(CheckRequest {
            card: card.clone(),
            cryptogram: None,
            pin: Some(pin),
            new_pin: None,
        });
    }
    let replies: HashSet<_> = world
        .hsm
        .check(requests)
        .await
        .unwrap()
        .into_iter()
        .map(|reply| format!("{reply:?}"))
        .collect();
    let expected = format!("{:?}", verdict(PinVerdict::Unreadable));
    assert_eq!(replies, HashSet::from([expected]));
}

#[tokio::test]
async fn a_pin_is_looked_at_only_after_a_valid_cryptogram_where_there_is_one() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let valid = cryptogram(PAN, 5);
    let mut wrong = valid.clone();
    wrong.arqc[7] ^= 1;
    let mut later = valid.clone();
    *later.data.last_mut().unwrap() ^= 3;
    let mut other_data = valid.clone();
    other_data.data[0] ^= 1;
    let requests = [valid, wrong, later, other_data, cryptogram(OTHER_PAN, 5)]
        .map(|cryptogram| CheckRequest {
            card: card.clone(),
            cryptogram: Some(cryptogram),
            pin: Some(iso0(PAN, "1234")),
            new_pin: None,
        })
        .to_vec();
    let replies = world.hsm.check(requests).await.unwrap();
    let refused = Ok(CheckReply {
        cryptogram_valid: Some(false),
        pin: None,
        new_pin: None,
    });
    let accepted = Ok(CheckReply {
        cryptogram_valid: Some(true),
        pin: Some(PinVerdict::Match),
        new_pin: None,
    });
    assert_eq!(
        replies,
        [
            accepted,
            refused.clone(),
            refused.clone(),
            refused.clone(),
            refused
        ]
    );
}

#[tokio::test]
async fn a_wrong_cryptogram_is_not_answered() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let answer = |cryptogram, scripts| ChipAnswerRequest {
        card: card.clone(),
        cryptogram,
        decisions: vec![ChipDecision {
            arc: *b"00",
            csu: [0x03, 0x92, 0, 0],
        }],
        scripts,
    };
    let mut wrong = cryptogram(PAN, 5);
    wrong.arqc[0] ^= 1;
    let requests = vec![
        answer(wrong, vec![ScriptOrder::ChangePin]),
        answer(cryptogram(PAN, 5), vec![ScriptOrder::UnblockPin]),
        answer(cryptogram(PAN, 5), vec![]),
    ];
    let answers = world.hsm.answer_chip(requests).await.unwrap();
    assert_eq!(answers[0], Err(HsmRefusal::CardTampered));
    let unblock = answers[1].clone().unwrap();
    assert_eq!(unblock.commands[0][..5], [0x84, 0x24, 0x00, 0x00, 0x08]);
    assert_eq!(unblock.issuer_authentication_data[0][4..], [0x03, 0x92, 0, 0]);
    assert!(answers[2].clone().unwrap().commands.is_empty());
}

#[tokio::test]
async fn a_pvv_reference_can_not_be_sent_to_a_chip() {
    let world = World::new().await;
    let reference = PinReference::Pvv {
        pvki: 3,
        pvv: [4, 0, 2, 1],
    };
    let request = ChipAnswerRequest {
        card: card(&world.hsm, PAN, reference).await,
        cryptogram: cryptogram(PAN, 5),
        decisions: vec![],
        scripts: vec![ScriptOrder::ChangePin],
    };
    assert_eq!(
        world.hsm.answer_chip(vec![request]).await.unwrap(),
        [Err(HsmRefusal::Unsupported)]
    );
}

#[tokio::test]
async fn a_card_record_with_any_part_edited_or_swapped_is_refused_alone() {
    let world = World::new().await;
    let ours = world.card_with_pin(PAN, "1234").await;
    let other = world.card_with_pin(OTHER_PAN, "9876").await;
    let edits: [fn(&mut HsmCard, &HsmCard); 10] = [
        |card, _| card.key.row.0 ^= 1,
        |card, _| card.key.check[23] ^= 1,
        |card, _| card.psn = Psn::new(2).unwrap(),
        |card, _| card.particulars[0] ^= 1,
        |card, _| {
            let moved = card.particulars.pop().unwrap();
            card.state.insert(0, moved);
        },
        |card, _| *card.state.last_mut().unwrap() ^= 1,
        |card, _| card.state.push(0),
        |card, _| card.mac.0[15] ^= 1,
        |card, other| card.pan = other.pan,
        |card, other| card.state = other.state.clone(),
    ];
    let request = |card| CheckRequest {
        card,
        cryptogram: None,
        pin: Some(iso0(PAN, "1234")),
        new_pin: None,
    };
    let mut requests: Vec<_> = edits
        .iter()
        .map(|edit| {
            let mut edited = ours.clone();
            edit(&mut edited, &other);
            request(edited)
        })
        .collect();
    requests.push(request(ours));
    let replies = world.hsm.check(requests).await.unwrap();
    let (untouched, edited) = replies.split_last().unwrap();
    assert_eq!(*untouched, verdict(PinVerdict::Match));
    for reply in edited {
        assert_eq!(*reply, Err(HsmRefusal::CardTampered));
    }
}

#[tokio::test]
async fn a_sealed_pin_of_another_card_is_refused_even_in_an_authentic_record() {
    let world = World::new().await;
    let foreign = seal_pin(&world.hsm, OTHER_PAN, "1234").await;
    let card = card(&world.hsm, PAN, PinReference::Sealed(foreign)).await;
    assert_eq!(
        check(&world, &card, iso0(PAN, "1234")).await,
        Err(HsmRefusal::CardTampered)
    );
}

#[tokio::test]
async fn a_state_of_another_layout_is_refused() {
    let world = World::new().await;
    let mut state = CardState::delivered(CardStatus::Active, PinReference::None, 3).encode();
    state[0] = 99;
    let made = card(&world.hsm, PAN, PinReference::None).await;
    let to_seal = hsm::StateToSeal {
        key: made.key,
        pan: made.pan,
        psn: made.psn,
        particulars: made.particulars.clone(),
        state: state.clone(),
    };
    let mac = world.hsm.seal_states(vec![to_seal]).await.unwrap()[0];
    let card = HsmCard { state, mac, ..made };
    assert_eq!(
        check(&world, &card, iso0(PAN, "1234")).await,
        Err(HsmRefusal::CardTampered)
    );
}

#[tokio::test]
async fn all_ten_thousand_pins_of_a_card_seal_to_different_blocks() {
    let world = World::new().await;
    let imports = (0..10_000)
        .map(|pin| ImportPin {
            pan: world.pan(),
            pin: iso0(PAN, &format!("{pin:04}")),
            len_digits: 4,
        })
        .collect();
    let blocks: HashSet<_> = world
        .hsm
        .import_pins(imports)
        .await
        .unwrap()
        .into_iter()
        .map(|sealed| sealed.unwrap().block)
        .collect();
    assert_eq!(blocks.len(), 10_000);
    let again = seal_pin(&world.hsm, PAN, "1234").await;
    assert!(
        !blocks.contains(&again.block),
        "the same PIN seals anew each time"
    );
}

#[tokio::test]
async fn an_unreadable_pin_is_not_imported() {
    let world = World::new().await;
    let import = |pin| ImportPin {
        pan: world.pan(),
        pin,
        len_digits: 4,
    };
    let unknown_key = ZonePin {
        zone_key: name("zpk-nowhere"),
        ..iso0(PAN, "1234")
    };
    let wrong_format = ZonePin {
        format: ZonePinFormat::Iso4,
        ..iso0(PAN, "1234")
    };
    let pins = vec![
        import(iso4(OTHER_PAN, "1234")),
        import(unknown_key),
        import(wrong_format),
        import(iso4(PAN, "1234")),
    ];
    let sealed = world.hsm.import_pins(pins).await.unwrap();
    assert_eq!(sealed[0], Err(HsmRefusal::PinBlock));
    assert_eq!(sealed[1], Err(HsmRefusal::NoSuchKey));
    assert_eq!(sealed[2], Err(HsmRefusal::NoSuchKey));
    assert!(sealed[3].is_ok());
}

#[tokio::test]
async fn a_pin_of_another_length_than_wanted_is_not_imported() {
    let world = World::new().await;
    let import = |(pin, len_digits)| ImportPin {
        pan: world.pan(),
        pin: iso0(PAN, pin),
        len_digits,
    };
    let pins = [("1234", 4), ("123456", 4), ("1234", 6), ("123456789012", 12)];
    let sealed = world.hsm.import_pins(pins.map(import).to_vec()).await.unwrap();
    let refused = sealed.iter().map(|sealed| sealed.as_ref().err().copied());
    assert!(refused.eq([None, Some(HsmRefusal::PinBlock), Some(HsmRefusal::PinBlock), None]));
}

#[tokio::test]
async fn it_says_beforehand_what_it_lacks_to_compare_a_pin() {
    let world = World::new().await;
    let pvv = |pvki| PinReference::Pvv {
        pvki,
        pvv: [1, 2, 3, 4],
    };
    let references = vec![
        PinReference::None,
        PinReference::Sealed(seal_pin(&world.hsm, PAN, "1234").await),
        pvv(3),
        pvv(2),
        PinReference::Ibm3624 { offset: vec![0; 4] },
    ];
    let lacks = Err(HsmRefusal::NoSuchKey);
    let told = world.hsm.can_compare(references).await.unwrap();
    assert_eq!(told, [Ok(()), Ok(()), Ok(()), lacks, lacks]);
}

#[tokio::test]
async fn a_pin_moves_to_the_replacements_pan_and_to_no_other() {
    let world = World::new().await;
    let old = world.card_with_pin(PAN, "1234").await;
    let pan = cards::Pan::parse(OTHER_PAN).unwrap();
    let moved = world.hsm.move_pin(old, pan).await.unwrap();
    let new = card(&world.hsm, OTHER_PAN, PinReference::Sealed(moved.clone())).await;
    let right = check(&world, &new, iso0(OTHER_PAN, "1234")).await;
    assert_eq!(right, verdict(PinVerdict::Match));
    let wrong = check(&world, &new, iso0(OTHER_PAN, "4321")).await;
    assert_eq!(wrong, verdict(PinVerdict::NoMatch));
    let on_the_old_pan = card(&world.hsm, PAN, PinReference::Sealed(moved)).await;
    let refused = check(&world, &on_the_old_pan, iso0(PAN, "1234")).await;
    assert_eq!(refused, Err(HsmRefusal::CardTampered));
}

#[tokio::test]
async fn only_a_sealed_pin_can_move() {
    let world = World::new().await;
    let pvv = PinReference::Pvv {
        pvki: 3,
        pvv: [4, 0, 2, 1],
    };
    let offset = PinReference::Ibm3624 { offset: vec![1; 4] };
    for reference in [PinReference::None, pvv, offset] {
        let card = card(&world.hsm, PAN, reference).await;
        let pan = cards::Pan::parse(OTHER_PAN).unwrap();
        let refused = world.hsm.move_pin(card, pan).await;
        assert_eq!(refused, Err(HsmRefusal::Unsupported.into()));
    }
}
