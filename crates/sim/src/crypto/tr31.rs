//! `pinward sim crypto tr31`: key blocks of versions A, B, C and D.

use paycrypto::aes_key::AesKey;
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::tr31::header::{Header, KeyBlockVersion, OptionalBlock};
use paycrypto::tr31::{Kbpk, WrapError, padding_len, unwrap, wrap};
use serde_json::{Map, Value, json};

use super::case::{Case, Refusal, hex, unknown_act};

const ACTS: &str = "unwrap, wrap";
const HEADER_LEN: usize = 16;

pub(super) const HELP: &str = r#"Open and make key blocks, TR-31:2018 (ANSI X9.143) versions A, B, C and D

Test keys only. One JSON object a line in, one a line out.

  do        "unwrap" or "wrap"
  kbpk      the key block protection key: 32 hexadecimal digits, double-length TDES, for versions A, B and C; 32, 48 or 64
            hexadecimal digits, AES, for version D
  block     unwrap: the key block, ASCII
  header    wrap: 16 characters as at the start of a block, "B0000P0TE00E0000". Its length and its number of optional
            blocks are computed anew
  optional  wrap: an object of optional blocks, {"KS": "00604B120F9292800000"}: two-character id, printable ASCII. They are
            written in the order of their ids. None where absent
  key       wrap: the key, hexadecimal digits
  padding   wrap: hexadecimal digits that fill the key with its 2-byte length up to whole blocks of 8 bytes, 16 in version D.
            Zeros where absent

Answer: {"key": hexadecimal digits, "header": 16 characters, "optional": object} or {"block": ASCII}.

  {"do":"unwrap","kbpk":"DD7515F2BFC17F85CE48F3CA25CB21F6","block":"B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E"}
  {"header":"B0080P0TE00E0000","key":"3F419E1CB7079442AA37474C2EFBF8B8","optional":{}}"#;

pub(super) fn answer(case: &Case) -> Result<Value, Refusal> {
    match case.act(ACTS)? {
        "unwrap" => open(case),
        "wrap" => make(case),
        _ => Err(unknown_act(ACTS)),
    }
}

fn open(case: &Case) -> Result<Value, Refusal> {
    let block = case.parsed("block", "a key block", |text| Some(text.to_owned()))?;
    let header = block.get(..HEADER_LEN).and_then(Header::from_fixed_part);
    let header = header.ok_or("block: must begin with a header of version A, B, C or D")?;
    let kbpk = OwnedKbpk::of(case, header.version)?;
    case.end()?;
    let unwrapped = unwrap(kbpk.as_kbpk(), &block).map_err(|_| "block: not authentic under this kbpk")?;
    let optional = unwrapped.header.optional_blocks.iter();
    let optional: Map<String, Value> = optional
        .map(|block| (block.id().map(char::from).iter().collect(), block.data().into()))
        .collect();
    Ok(json!({
        "key": hex(&unwrapped.key),
        "header": block.get(..HEADER_LEN),
        "optional": optional,
    }))
}

fn make(case: &Case) -> Result<Value, Refusal> {
    let mut header = case.parsed("header", "the 16 characters of a header", Header::from_fixed_part)?;
    header.optional_blocks = optional_blocks(case)?;
    let kbpk = OwnedKbpk::of(case, header.version)?;
    let key = case.bytes("key")?;
    let padding = if case.has("padding") {
        case.bytes("padding")?
    } else {
        vec![0; padding_len(header.version, key.len())]
    };
    case.end()?;
    let block = wrap(kbpk.as_kbpk(), &header, &key, &padding).map_err(|error| match error {
        WrapError::Kbpk => "kbpk: must be of the version's algorithm",
        WrapError::KeyLength => "key: must have 1 to 8191 bytes",
        WrapError::Padding => "padding: must fill whole blocks",
        WrapError::Header => "optional: too much for one block",
    })?;
    Ok(json!({ "block": block }))
}

fn optional_blocks(case: &Case) -> Result<Vec<OptionalBlock>, Refusal> {
    const WANTS: &str = "optional: must be an object of two-character ids and printable ASCII";
    let block =
        |(id, data): (&String, &Value)| OptionalBlock::new(id.as_bytes().try_into().ok()?, data.as_str()?);
    match case.field("optional") {
        None => Ok(Vec::new()),
        Some(Value::Object(blocks)) => {
            let blocks: Option<_> = blocks.iter().map(block).collect();
            blocks.ok_or_else(|| WANTS.to_owned())
        }
        Some(_) => Err(WANTS.to_owned()),
    }
}

#[expect(clippy::large_enum_variant, reason = "one for each case, on the stack")]
enum OwnedKbpk {
    Tdes(Tdes2Key),
    Aes(AesKey),
}

impl OwnedKbpk {
    fn of(case: &Case, version: KeyBlockVersion) -> Result<Self, Refusal> {
        match version {
            KeyBlockVersion::A | KeyBlockVersion::B | KeyBlockVersion::C => case.tdes("kbpk").map(Self::Tdes),
            KeyBlockVersion::D => case.aes("kbpk").map(Self::Aes),
        }
    }

    fn as_kbpk(&self) -> Kbpk<'_> {
        match self {
            Self::Tdes(key) => Kbpk::Tdes(key),
            Self::Aes(key) => Kbpk::Aes(key),
        }
    }
}
