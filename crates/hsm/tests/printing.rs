//! No request, answer or error prints a PIN block, a key or a full PAN.

use cards::{CardKey, CardRef, Pan, Psn, SealedPan, SealedPin, Timestamp};
use hsm::{
    CheckRequest, ChipAnswer, ChipAnswerRequest, Cryptogram, HsmCard, ImportPin, KeyName, MessageToMac,
    MessageWithMac, NewPinVerdict, NewZonePin, PersonalisedCard, PinChange, RevealedPin, ScriptOrder,
    SealedEnvelope, StateMac, StateToSeal, ZonePin, ZonePinFormat,
};

/// A byte that every secret consists of, and nothing else.
const SECRET: u8 = 0xA7;
const PAN: &str = "4761739001010119";

#[test]
fn requests_and_answers_print_without_their_secrets() {
    let key = CardKey {
        row: CardRef(1),
        check: [0; 24],
    };
    let card = HsmCard {
        key,
        pan: SealedPan([SECRET; 16]),
        psn: Psn::default(),
        particulars: Vec::new(),
        state: vec![SECRET; 40],
        mac: StateMac([SECRET; 16]),
    };
    let pin = ZonePin {
        zone_key: KeyName("zpk".into()),
        format: ZonePinFormat::Iso0,
        ksn: Some(vec![SECRET; 10]),
        block: vec![SECRET; 8],
    };
    let cryptogram = Cryptogram {
        scheme: cards::Scheme::VisaCvn18,
        arqc: [0; 8],
        data: vec![0; 33],
        iad: vec![0; 7],
    };
    let sealed = SealedPin {
        kcv: [0; 5],
        block: [SECRET; 16],
    };
    let envelope = SealedEnvelope {
        nonce: [SECRET; 16],
        session: [SECRET; 32],
        device_public: vec![0; 65],
        current_pin: Some([SECRET; 16]),
        new_pin: Some([SECRET; 16]),
        now: Timestamp(0),
    };
    let pan = Pan::parse(PAN).unwrap();
    let printed = [
        format!(
            "{:?}",
            CheckRequest {
                card: card.clone(),
                cryptogram: Some(cryptogram.clone()),
                pin: Some(pin.clone()),
                new_pin: Some(NewZonePin {
                    pin: pin.clone(),
                    len_digits: 4,
                }),
            }
        ),
        format!(
            "{:?}",
            ChipAnswerRequest {
                card: card.clone(),
                cryptogram,
                decisions: vec![],
                scripts: vec![ScriptOrder::ChangePin],
            }
        ),
        format!(
            "{:?}",
            StateToSeal {
                key,
                pan: card.pan,
                psn: card.psn,
                particulars: Vec::new(),
                state: card.state.clone(),
            }
        ),
        format!(
            "{:?}",
            ImportPin {
                pan: pan.clone(),
                pin,
                len_digits: 4,
            }
        ),
        format!(
            "{:?}",
            ChipAnswer {
                issuer_authentication_data: vec![vec![SECRET; 8]],
                commands: vec![vec![SECRET; 29]],
            }
        ),
        format!("{envelope:?}"),
        format!("{:?}", RevealedPin([SECRET; 16])),
        format!("{:?}", NewPinVerdict::Sealed(sealed.clone())),
        format!("{:?}", PinChange::Matched(sealed)),
        format!(
            "{:?}",
            MessageToMac {
                key: KeyName("zak".into()),
                message: vec![SECRET; 40],
            }
        ),
        format!(
            "{:?}",
            MessageWithMac {
                key: KeyName("zak".into()),
                message: vec![SECRET; 40],
                mac: [SECRET; 8],
            }
        ),
        format!(
            "{:?}",
            PersonalisedCard {
                pan,
                icc_key_ac: "A7A7".into(),
                icc_key_smi: "A7A7".into(),
                icc_key_smc: "A7A7".into(),
                pin_block: Some([SECRET; 8]),
            }
        ),
    ];
    for text in printed {
        for leak in ["167", "a7", "A7", PAN] {
            assert!(!text.contains(leak), "{leak} in {text}");
        }
    }
}
