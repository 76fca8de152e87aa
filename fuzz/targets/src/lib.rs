//! What fuzzing runs: each function takes any bytes, reads them as what its name says, and panics where a promise of the
//! reader is broken. It says whether the bytes were read rather than refused, so that a driver can tell that it looks at both.
//!
//! `../fuzz_targets` runs them under libFuzzer, `main.rs` with a mutator of its own on stable Rust.

use std::sync::LazyLock;

use emv::apdu::{Command, Response};
use emv::csu::{IssuerAuthenticationData, IssuerAuthenticationDataMethod1};
use emv::field55::Field55;
use emv::iad::{CcdIad, ChipReport, IadLayout, InteracIad, MChipIad, VisaIad};
use emv::script::{IssuerScript, ScriptResult};
use emv::tags::{TAG_9F5B_SCRIPT_RESULTS, TAG_71_SCRIPT_BEFORE_FINAL_AC};
use emv::{dol, show, tlv};
use iso8583::build::MessageBuilder;
use iso8583::dialect::Dialect;
use iso8583::framing::{FrameReader, Framing};
use iso8583::mac::split_mac;
use iso8583::message::{MESSAGE_LEN_MAX, Message};
use iso8583::original_data::OriginalData;
use iso8583::values::{EntryMode, ProcessingCode, TransmissionTime, number};
use paycrypto::aes_key::AesKey;
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::tr31::header::{Header, KeyBlockVersion};
use paycrypto::tr31::{Kbpk, padding_len, unwrap, wrap};

pub mod mutate;

/// A target's name, which is its corpus folder's too, and its function.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All targets.
pub const TARGETS: [Target; 7] = [
    ("framing", framing),
    ("message", message),
    ("field55", field55),
    ("apdu", apdu),
    ("tr31", tr31),
    ("script", script),
    ("iad", iad),
];

static DIALECTS: LazyLock<Vec<Dialect>> = LazyLock::new(|| {
    let named = |name| Dialect::named(name).expect("comes with the crate");
    Dialect::names().map(named).collect()
});

/// A stream in pieces. The first byte chooses the framing and, in its upper six bits, the size of the pieces.
///
/// Promises: whole frames within the limit, the same however the stream is cut; a refusal stays; little is kept.
pub fn framing(input: &[u8]) -> bool {
    let Some((&choice, stream)) = input.split_first() else {
        return false;
    };
    let framing = Framing::ALL[usize::from(choice & 3)];
    let read_in = |piece_len: usize| {
        let mut reader = FrameReader::new(framing);
        let (mut frames, mut refusal) = (Vec::new(), None);
        'stream: for piece in stream.chunks(piece_len) {
            reader.push(piece);
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => {
                        assert!((1..=MESSAGE_LEN_MAX).contains(&frame.len()));
                        frames.push(frame.to_vec());
                    }
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(reader.next_frame(), Err(error));
                        refusal = Some(error);
                        break 'stream;
                    }
                }
            }
        }
        (frames, refusal)
    };
    let whole = read_in(stream.len().max(1));
    assert_eq!(read_in(usize::from(choice >> 2) + 1), whole);
    let mut written = Vec::new();
    for frame in &whole.0 {
        let append = framing.append(&mut written, |out| out.extend_from_slice(frame));
        append.expect("it came in a frame");
    }
    assert!(written.len() <= stream.len());
    whole.1.is_none() && !whole.0.is_empty()
}

/// An ISO 8583 message. The first byte chooses the dialect.
///
/// Promises: an error's place is in the frame; what is read is written back to the same bytes, but for an empty second
/// bitmap; a MAC and what it covers are the whole frame.
pub fn message(input: &[u8]) -> bool {
    let Some((&choice, frame)) = input.split_first() else {
        return false;
    };
    let dialect = &DIALECTS[usize::from(choice) % DIALECTS.len()];
    let message = match Message::parse(frame, dialect) {
        Ok(message) => message,
        Err(error) => {
            assert!(error.at <= frame.len());
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let written = written(&message, dialect);
    let has_empty_bitmap =
        frame[dialect_head(dialect)] & 0x80 != 0 && message.fields().all(|field| field <= 64);
    if has_empty_bitmap {
        assert!(Message::parse(&written, dialect).is_ok());
    } else {
        assert_eq!(written, frame);
    }
    if let Some(mac) = message.mac() {
        assert_eq!([mac.covered, &mac.mac].concat(), frame);
        let mut copy = frame.to_vec();
        let (covered, place) = split_mac(&mut copy).expect("it is as long as a MAC");
        assert_eq!((covered, *place), (mac.covered, mac.mac));
    }
    let field = |number| message.field(number);
    let class = message.mti().class();
    let _read = OriginalData::named_by(dialect, field);
    let _read = OriginalData::of(message.mti(), dialect, field).map(|original| original.field(dialect));
    let _read = field(3).and_then(ProcessingCode::parse);
    let _read = field(4).and_then(number);
    let _read = field(7).and_then(TransmissionTime::parse);
    let _read = field(22).and_then(EntryMode::parse);
    let _read = dialect.network_act(&message);
    let _read = field(39).and_then(|code| dialect.response_code_1987(class, code));
    let _read = (message.mti().as_1987(), message.mti().response());
    true
}

fn written(message: &Message<'_>, dialect: &Dialect) -> Vec<u8> {
    let mut builder = MessageBuilder::new(dialect, message.mti());
    for field in message.fields() {
        let value = message.field(field).expect("it is present");
        builder.set(field, value).expect("it was read in this dialect");
    }
    let mut out = Vec::new();
    builder.write_to(&mut out);
    out
}

/// Where the bitmap begins: all dialects here have it in binary.
fn dialect_head(dialect: &Dialect) -> usize {
    match dialect.wire().mti {
        iso8583::wire::MtiEncoding::Bcd => 2,
        iso8583::wire::MtiEncoding::Ascii | iso8583::wire::MtiEncoding::Ebcdic => 4,
    }
}

/// DE55 of a request or an answer.
///
/// Promises: what is read is read again from what it is written to; data objects lie within the bytes, where they say.
pub fn field55(input: &[u8]) -> bool {
    let _shown = show::lines(input);
    let _read = dol::Dol::parse(input).map(|dol| {
        assert_eq!(dol::Dol::parse(&dol.to_bytes()).as_ref(), Ok(&dol));
        dol.values_len()
    });
    let Ok(objects) = tlv::parse(input) else {
        return false;
    };
    let mut written = Vec::new();
    for object in &objects {
        tlv::put(&mut written, object.tag, object.value);
    }
    let again = tlv::parse(&written).expect("written by ourselves");
    let content = |object: &tlv::Object<'_>| (object.tag, object.value.to_vec());
    assert!(again.iter().map(content).eq(objects.iter().map(content)));
    for (depth, object) in tlv::parse_nested(input).unwrap_or_default() {
        assert!(depth <= input.len());
        let head = input.iter().skip(object.at).copied();
        assert!(head.zip(object.tag.bytes()).all(|(there, tag)| there == tag));
        assert!(object.value.len() < input.len());
        let _read = IssuerAuthenticationData::parse(object.value);
        let _read = IssuerAuthenticationDataMethod1::parse(object.value);
    }
    if let Ok(results) = tlv::find(input, TAG_9F5B_SCRIPT_RESULTS) {
        let _read = results.and_then(ScriptResult::parse_all);
    }
    if let Ok(request) = Field55::parse(input) {
        assert_eq!(Field55::parse(&request.to_bytes()), Ok(request));
        let _covered = request.terminal_data();
    }
    true
}

/// A command to the card, and a response of it.
///
/// Promises: both are written back to the bytes that were read; what is shown of a sensitive command has no data.
pub fn apdu(input: &[u8]) -> bool {
    let _shown = show::shown_command(input);
    if let Ok(response) = Response::parse(input) {
        assert_eq!(response.to_bytes(), input);
        let _read = (
            response.status.tries_left(),
            response.status.lets_script_continue(),
        );
    }
    let Ok(command) = Command::parse(input) else {
        return false;
    };
    assert_eq!(command.to_bytes().as_deref(), Ok(input));
    assert!(command.data.len() <= 255);
    true
}

/// A TR-31 key block. The first byte chooses one of the protection keys that `vectors/tr31.txt` publishes.
///
/// Promises: what is taken out is wrapped again and taken out again; a header that is read can be written.
pub fn tr31(input: &[u8]) -> bool {
    static KEYS: LazyLock<([Tdes2Key; 4], AesKey)> = LazyLock::new(|| {
        let tdes = [
            0x89E8_8CF7_9314_44F3_34BD_7547_FC3F_380C_u128,
            0xDD75_15F2_BFC1_7F85_CE48_F3CA_25CB_21F6,
            0xB8ED_59E0_A279_A295_E9F5_ED79_44FD_06B9,
            0x1D22_BF32_387C_600A_D97F_9B97_A513_11AC,
        ];
        let aes = [
            0x88E1_AB2A_2E3D_D38C_1FA0_39A5_3650_0CC8_u128.to_be_bytes(),
            0xA87A_B9D6_2DC9_2C01_058F_A79F_4465_7DE6_u128.to_be_bytes(),
        ]
        .concat();
        let aes = AesKey::from_bytes(&aes).expect("32 bytes");
        (tdes.map(|key| Tdes2Key::from_bytes(&key.to_be_bytes())), aes)
    });
    let Some((&choice, block)) = input.split_first() else {
        return false;
    };
    let kbpk = match KEYS.0.get(usize::from(choice) % 5) {
        Some(key) => Kbpk::Tdes(key),
        None => Kbpk::Aes(&KEYS.1),
    };
    let Ok(block) = std::str::from_utf8(block) else {
        return false;
    };
    if let Some(header) = block.get(..16).and_then(Header::from_fixed_part) {
        let kbpk = match header.version {
            KeyBlockVersion::D => Kbpk::Aes(&KEYS.1),
            KeyBlockVersion::A | KeyBlockVersion::B | KeyBlockVersion::C => Kbpk::Tdes(&KEYS.0[0]),
        };
        let key = [choice; 16];
        let padding = vec![0x5A; padding_len(header.version, key.len())];
        if let Ok(wrapped) = wrap(kbpk, &header, &key, &padding) {
            let unwrapped = unwrap(kbpk, &wrapped).expect("it was wrapped under this key");
            assert_eq!(unwrapped.header, header);
            assert_eq!(*unwrapped.key, key);
        }
    }
    let Ok(unwrapped) = unwrap(kbpk, block) else {
        return false;
    };
    let padding = vec![0x5A; padding_len(unwrapped.header.version, unwrapped.key.len())];
    let wrapped = wrap(kbpk, &unwrapped.header, &unwrapped.key, &padding).expect("it was unwrapped");
    assert_eq!(unwrap(kbpk, &wrapped).expect("just wrapped").key, unwrapped.key);
    true
}

/// Issuer scripts: a template 71 or 72, and what a terminal reports of them.
///
/// Promises: both are written back to what reads the same.
pub fn script(input: &[u8]) -> bool {
    if let Some(results) = ScriptResult::parse_all(input) {
        let written: Vec<u8> = results.iter().flat_map(|result| result.to_bytes()).collect();
        assert_eq!(written, input);
    }
    let Ok(script) = IssuerScript::parse(input) else {
        return false;
    };
    let written = script.to_bytes().expect("it was read within the limits");
    assert_eq!(IssuerScript::parse(&written).as_ref(), Ok(&script));
    for command in &script.commands {
        let _read = Command::parse(command);
    }
    let phase = tlv::parse(&written).map(|objects| objects[0].tag == TAG_71_SCRIPT_BEFORE_FINAL_AC);
    assert!(phase.is_ok());
    true
}

/// Issuer application data (9F10) in every layout.
///
/// Promises: what is written is read back the same; a report is made of every layout that is read.
pub fn iad(input: &[u8]) -> bool {
    let layouts = [
        IadLayout::Visa,
        IadLayout::MChip,
        IadLayout::Interac,
        IadLayout::Ccd,
        IadLayout::Amex,
    ];
    let mut is_read = false;
    for layout in layouts {
        if let Some(report) = ChipReport::read(layout, input) {
            is_read = true;
            assert!(report.cvr.as_bytes().len() <= input.len());
        }
    }
    if let Some(visa) = VisaIad::parse(input) {
        assert_eq!(VisaIad::parse(&visa.to_bytes()), Some(visa));
    }
    if let Some(mchip) = MChipIad::parse(input) {
        assert_eq!(MChipIad::parse(&mchip.to_bytes()), Some(mchip));
    }
    if let Some(interac) = InteracIad::parse(input) {
        let written = interac.to_bytes();
        assert!(InteracIad::parse(&written).is_some());
    }
    if let Some(ccd) = CcdIad::parse(input) {
        assert_eq!(CcdIad::parse(&ccd.to_bytes()), Some(ccd));
    }
    is_read
}
