//! Application cryptograms: ARQC, TC and AAC. EMV Book 2 version 4.4 8.1.

use subtle::ConstantTimeEq;

use crate::cvn::{AcIad, AcKeyMethod, ArpcMethod, CvnProfile};
use crate::emv_key::{EmvKey, WrongAlgorithm};
use crate::session_keys::{TreeShape, common_of, emv2000_tree, mastercard_skd, r_of_ac};

/// Most bytes of issuer application data, EMV Book 3 annex A (tag 9F10).
const IAD_LEN_MAX_BYTES: usize = 32;
/// Bytes before the issuer application data.
const TERMINAL_DATA_LEN_BYTES: usize = 33;

/// What terminal and card feed into a cryptogram, each field as the value of its tag.
///
/// | field | bytes | tag |
/// |---|---|---|
/// | amount, amount_other | 6 n, 6 n | 9F02, 9F03 |
/// | terminal_country | 2 n | 9F1A |
/// | tvr | 5 b | 95 |
/// | currency, date, transaction_type | 2 n, 3 n, 1 n | 5F2A, 9A, 9C |
/// | unpredictable_number | 4 b | 9F37 |
/// | aip, atc | 2 b, 2 b | 82, 9F36 |
/// | iad | up to 32 b | 9F10 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table above names each field's tag")]
pub struct AcInput<'a> {
    pub amount: [u8; 6],
    pub amount_other: [u8; 6],
    pub terminal_country: [u8; 2],
    pub tvr: [u8; 5],
    pub currency: [u8; 2],
    pub date: [u8; 3],
    pub transaction_type: u8,
    pub unpredictable_number: [u8; 4],
    pub aip: [u8; 2],
    pub atc: u16,
    pub iad: &'a [u8],
}

/// The issuer application data is too short for the bytes its cryptogram version wants, or longer than 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the issuer application data has the wrong length for its cryptogram version")]
pub struct IadLengthError;

/// The keys of one transaction's cryptogram and of its answer.
///
/// ```
/// use paycrypto::cryptogram::{AcInput, AcSession};
/// use paycrypto::cvn::Cvn;
/// use paycrypto::emv_key::{EmvAlgorithm, EmvKey};
///
/// let input = AcInput {
///     amount: [0, 0, 0, 0, 0x40, 0],
///     amount_other: [0; 6],
///     terminal_country: [0x01, 0x24],
///     tvr: [0x80, 0, 0x04, 0x80, 0],
///     currency: [0x01, 0x24],
///     date: [0x19, 0x11, 0x05],
///     transaction_type: 1,
///     unpredictable_number: [0x52, 0xBF, 0x45, 0x85],
///     aip: [0x18, 0],
///     atc: 0x001C,
///     iad: &[0x06, 0x01, 0x12, 0x03, 0xA0, 0xB8, 0x00],
/// };
/// let icc_mk_ac = EmvKey::from_bytes(EmvAlgorithm::Tdes, &[0x23; 16]).unwrap();
/// let session = AcSession::new(Cvn::Visa18, &icc_mk_ac, input.atc, input.unpredictable_number).unwrap();
/// let arqc = session.generate(&input).unwrap();
/// assert_eq!(session.verify(&input, arqc), Ok(true));
/// assert!(AcSession::new(Cvn::CcdAes, &icc_mk_ac, input.atc, input.unpredictable_number).is_err());
/// ```
#[derive(Debug)]
pub struct AcSession {
    profile: CvnProfile,
    key: EmvKey,
    /// Where the answer isn't made with `key`.
    arpc_key: Option<EmvKey>,
}

impl AcSession {
    /// Derives the keys from ICC MK-AC. The unpredictable number (tag 9F37) matters to Mastercard SKD only.
    ///
    /// Refuses a key of another algorithm than the version's, and a version that isn't sound.
    pub fn new(
        version: impl Into<CvnProfile>,
        icc_mk_ac: &EmvKey,
        atc: u16,
        unpredictable_number: [u8; 4],
    ) -> Result<Self, WrongAlgorithm> {
        let profile = version.into();
        if icc_mk_ac.algorithm() != profile.algorithm() || !profile.is_sound() {
            return Err(WrongAlgorithm);
        }
        let key = match profile.ac_key {
            AcKeyMethod::MasterKey => icc_mk_ac.duplicate(),
            AcKeyMethod::Common => common_of(icc_mk_ac, r_of_ac(atc)),
            AcKeyMethod::MastercardSkd => {
                EmvKey::Tdes(mastercard_skd(icc_mk_ac.as_tdes()?, atc, unpredictable_number))
            }
            AcKeyMethod::Emv2000Tree => {
                let master = icc_mk_ac.as_tdes()?;
                EmvKey::Tdes(emv2000_tree(master, TreeShape::Height8Branch4, [0; 16], atc))
            }
        };
        let arpc_key = match profile.arpc {
            ArpcMethod::Method1MasterKey => Some(icc_mk_ac.duplicate()),
            ArpcMethod::Method1SessionKey | ArpcMethod::Method2 => None,
        };
        Ok(Self {
            profile,
            key,
            arpc_key,
        })
    }

    /// What the cryptogram version stands for.
    #[must_use]
    pub fn profile(&self) -> CvnProfile {
        self.profile
    }

    /// The 8-byte cryptogram over the terminal's and the card's data.
    ///
    /// Refuses issuer application data too short for the version, or longer than 32 bytes.
    ///
    /// Source: EMV Book 2 8.1 and the table of [`crate::cvn`]. Evidence: `vectors/cvn.txt`, second implementation pyemv.
    pub fn generate(&self, input: &AcInput<'_>) -> Result<[u8; 8], IadLengthError> {
        let mut data = [0; TERMINAL_DATA_LEN_BYTES + IAD_LEN_MAX_BYTES];
        let len = fill_data(&mut data, self.profile.ac_iad, input)?;
        let data = data.get(..len).ok_or(IadLengthError)?;
        Ok(self.key.mac(self.profile.ac_padding, data))
    }

    /// Whether a cryptogram is the right one; compared in constant time.
    ///
    /// Refuses what [`AcSession::generate`] refuses. Says nothing about freshness: replay is caught by the ATC.
    pub fn verify(&self, input: &AcInput<'_>, cryptogram: [u8; 8]) -> Result<bool, IadLengthError> {
        Ok(self.generate(input)?.ct_eq(&cryptogram).into())
    }

    /// The key that answers the cryptogram: the session key, or ICC MK-AC.
    pub(crate) fn arpc_key(&self) -> &EmvKey {
        self.arpc_key.as_ref().unwrap_or(&self.key)
    }
}

/// Lays the fields out in the order of EMV Book 2 table 26 and says how many bytes that made.
fn fill_data(data: &mut [u8], part: AcIad, input: &AcInput<'_>) -> Result<usize, IadLengthError> {
    if input.iad.len() > IAD_LEN_MAX_BYTES {
        return Err(IadLengthError);
    }
    let (iad, counters) = iad_parts(part, input.iad)?;
    let parts: [&[u8]; 12] = [
        &input.amount,
        &input.amount_other,
        &input.terminal_country,
        &input.tvr,
        &input.currency,
        &input.date,
        &[input.transaction_type],
        &input.unpredictable_number,
        &input.aip,
        &input.atc.to_be_bytes(),
        iad,
        counters,
    ];
    let len = parts.iter().map(|part| part.len()).sum();
    for (to, from) in data.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    Ok(len)
}

fn iad_parts(part: AcIad, iad: &[u8]) -> Result<(&[u8], &[u8]), IadLengthError> {
    let parts = match part {
        AcIad::Whole => Some((iad, [].as_slice())),
        AcIad::VisaCvr => iad.get(3..7).map(|cvr| (cvr, [].as_slice())),
        AcIad::MChipCvr => iad.get(2..8).map(|cvr| (cvr, [].as_slice())),
        AcIad::MChipCvrAndCounters => iad.get(2..8).zip(iad.get(10..18)),
    };
    parts.ok_or(IadLengthError)
}
