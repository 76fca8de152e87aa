//! Headers of key blocks. ANSI X9.143:2022 6.3, ASC X9 TR 31:2018 annex A.
//!
//! | characters | field |
//! |---|---|
//! | 1 | version |
//! | 4 | length of the whole block in characters, decimal |
//! | 2 | key usage |
//! | 1 | algorithm |
//! | 1 | mode of use |
//! | 2 | key version number |
//! | 1 | exportability |
//! | 2 | number of optional blocks, decimal |
//! | 1 | key context |
//! | 1 | reserved, `0` |

use std::fmt::Write;

const HEADER_LEN: usize = 16;
const OPTIONAL_BLOCKS_MAX: usize = 99;
const OPTIONAL_BLOCK_HEADER_LEN: usize = 4;
/// Fills the optional blocks up to whole blocks of the cipher.
const ID_PB_PADDING: [u8; 2] = *b"PB";

/// A key block's header without what is computed: length, number of optional blocks, padding block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// How the block is protected.
    pub version: KeyBlockVersion,
    /// What the key is for.
    pub usage: KeyUsage,
    /// The wrapped key's algorithm.
    pub algorithm: Algorithm,
    /// What may be done with the key.
    pub mode_of_use: ModeOfUse,
    /// Two ASCII letters or digits, `00` where keys aren't numbered.
    pub key_version: [u8; 2],
    /// Whether the key may leave again.
    pub exportability: Exportability,
    /// Whether the block may be stored, exchanged or both.
    pub key_context: KeyContext,
    /// In order; the padding block `PB` isn't among them.
    pub optional_blocks: Vec<OptionalBlock>,
}

/// Makes an enum of what one character says, and both ways between them.
macro_rules! coded {
    ($(#[$doc:meta])* $name:ident, $($(#[$says:meta])* $variant:ident = $code:literal,)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$says])* #[doc = concat!(" Code `", $code, "`.")] $variant,)+
        }

        impl $name {
            fn code(self) -> char {
                match self { $(Self::$variant => $code,)+ }
            }

            fn of_code(code: u8) -> Option<Self> {
                match char::from(code) {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

coded! {
    /// Key block version id.
    KeyBlockVersion,
    /// Key variant binding, TDES, of 2005.
    A = 'A',
    /// Key derivation binding, TDES.
    B = 'B',
    /// Key variant binding, TDES, of 2010.
    C = 'C',
    /// Key derivation binding, AES.
    D = 'D',
}

impl KeyBlockVersion {
    /// Block size of the cipher that protects the block.
    #[must_use]
    pub fn block_len_bytes(self) -> usize {
        match self {
            Self::A | Self::B | Self::C => 8,
            Self::D => 16,
        }
    }

    pub(super) fn mac_len_bytes(self) -> usize {
        match self {
            Self::A | Self::C => 4,
            Self::B => 8,
            Self::D => 16,
        }
    }
}

/// What a key is for: two ASCII letters or digits. The constants name those that Pinward uses.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyUsage([u8; 2]);

impl KeyUsage {
    /// `B0`: DUKPT base derivation key.
    pub const B0_BASE_DERIVATION: Self = Self(*b"B0");
    /// `D0`: symmetric data encryption key.
    pub const D0_DATA_ENCRYPTION: Self = Self(*b"D0");
    /// `E0`: EMV issuer master key for application cryptograms.
    pub const E0_EMV_CRYPTOGRAMS: Self = Self(*b"E0");
    /// `E1`: EMV issuer master key for secure messaging, confidentiality.
    pub const E1_EMV_CONFIDENTIALITY: Self = Self(*b"E1");
    /// `E2`: EMV issuer master key for secure messaging, integrity.
    pub const E2_EMV_INTEGRITY: Self = Self(*b"E2");
    /// `K1`: key block protection key.
    pub const K1_KEY_BLOCK_PROTECTION: Self = Self(*b"K1");
    /// `M3`: ISO 9797-1 MAC algorithm 3 key.
    pub const M3_RETAIL_MAC: Self = Self(*b"M3");
    /// `M6`: ISO 9797-1 MAC algorithm 5, CMAC, key.
    pub const M6_CMAC: Self = Self(*b"M6");
    /// `M7`: HMAC key.
    pub const M7_HMAC: Self = Self(*b"M7");
    /// `P0`: PIN encryption key.
    pub const P0_PIN_ENCRYPTION: Self = Self(*b"P0");
    /// `V1`: PIN verification key, IBM 3624.
    pub const V1_PIN_VERIFICATION_IBM_3624: Self = Self(*b"V1");
    /// `V2`: PIN verification key, Visa PVV.
    pub const V2_PIN_VERIFICATION_VISA_PVV: Self = Self(*b"V2");

    /// Takes any code. Refuses characters other than upper-case ASCII letters and digits; those of digits only are proprietary.
    #[must_use]
    pub fn from_code(code: [u8; 2]) -> Option<Self> {
        code.iter()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
            .then_some(Self(code))
    }

    /// Two ASCII characters.
    #[must_use]
    pub fn code(self) -> [u8; 2] {
        self.0
    }
}

impl std::fmt::Debug for KeyUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first, second] = self.0.map(char::from);
        write!(f, "KeyUsage({first}{second})")
    }
}

coded! {
    /// Algorithm of the wrapped key.
    Algorithm,
    /// AES.
    Aes = 'A',
    /// Single DES.
    Dea = 'D',
    /// Elliptic curves.
    EllipticCurve = 'E',
    /// HMAC.
    Hmac = 'H',
    /// RSA.
    Rsa = 'R',
    /// DSA.
    Dsa = 'S',
    /// TDES.
    Tdea = 'T',
}

coded! {
    /// What may be done with the wrapped key.
    ModeOfUse,
    /// Encrypt and decrypt, wrap and unwrap.
    EncryptDecrypt = 'B',
    /// Generate and verify.
    GenerateVerify = 'C',
    /// Decrypt or unwrap only.
    DecryptOnly = 'D',
    /// Encrypt or wrap only.
    EncryptOnly = 'E',
    /// Generate only.
    GenerateOnly = 'G',
    /// No special restriction.
    Unrestricted = 'N',
    /// Sign only.
    SignOnly = 'S',
    /// Sign and decrypt.
    SignDecrypt = 'T',
    /// Verify only.
    VerifyOnly = 'V',
    /// Derive other keys.
    DeriveKeys = 'X',
    /// Create key variants.
    CreateVariants = 'Y',
}

coded! {
    /// Whether the wrapped key may be exported again.
    Exportability,
    /// Under a trusted key, in a key block.
    Exportable = 'E',
    /// Not at all.
    NonExportable = 'N',
    /// Under any key encryption key; sensitive.
    Sensitive = 'S',
}

coded! {
    /// Where the key block may be. ANSI X9.143:2022 brought it; TR 31:2018 has a reserved `0` there.
    KeyContext,
    /// As the wrapping key says.
    OfWrappingKey = '0',
    /// In storage only.
    Storage = '1',
    /// In exchange only.
    Exchange = '2',
}

/// One optional block: two-character id, length, data. Data of more than 251 characters (the extended length) isn't taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionalBlock {
    id: [u8; 2],
    data: String,
}

impl OptionalBlock {
    /// Refuses: an id other than two upper-case ASCII letters or digits, the id `PB`, data longer than 251 characters or with
    /// characters other than printable ASCII.
    #[must_use]
    pub fn new(id: [u8; 2], data: &str) -> Option<Self> {
        let id_valid = KeyUsage::from_code(id).is_some() && id != ID_PB_PADDING;
        let data_valid = data.len() + OPTIONAL_BLOCK_HEADER_LEN <= 0xFF && data.bytes().all(is_printable);
        (id_valid && data_valid).then(|| Self {
            id,
            data: data.to_owned(),
        })
    }

    /// Two ASCII characters.
    #[must_use]
    pub fn id(&self) -> [u8; 2] {
        self.id
    }

    /// Printable ASCII.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }
}

impl Header {
    /// Header and optional blocks as text, for a block with `enciphered_len` characters after them. `None` for [`super::WrapError::Header`].
    pub(super) fn text(&self, enciphered_len: usize) -> Option<String> {
        let mut optional = String::new();
        for block in &self.optional_blocks {
            push_optional(&mut optional, block.id, &block.data);
        }
        let block_len = self.version.block_len_bytes();
        let padded = !optional.len().is_multiple_of(block_len);
        if padded {
            let filled = optional.len() + OPTIONAL_BLOCK_HEADER_LEN;
            let fill = filled.next_multiple_of(block_len) - filled;
            push_optional(&mut optional, ID_PB_PADDING, &"0".repeat(fill));
        }
        let count = self.optional_blocks.len() + usize::from(padded);
        let len = HEADER_LEN + optional.len() + enciphered_len;
        let key_version_valid = self.key_version.iter().all(u8::is_ascii_alphanumeric);
        if count > OPTIONAL_BLOCKS_MAX || len > super::KEY_BLOCK_LEN_MAX || !key_version_valid {
            return None;
        }
        let [usage_1, usage_2] = self.usage.0.map(char::from);
        let [version_1, version_2] = self.key_version.map(char::from);
        Some(format!(
            "{}{len:04}{usage_1}{usage_2}{}{}{version_1}{version_2}{}{count:02}{}0{optional}",
            self.version.code(),
            self.algorithm.code(),
            self.mode_of_use.code(),
            self.exportability.code(),
            self.key_context.code(),
        ))
    }

    /// What the first 16 characters of a key block say, such as `B0080P0TE00E0000`. The length of the block and the number
    /// of its optional blocks are left aside.
    ///
    /// ```
    /// use paycrypto::tr31::header::{Header, KeyUsage};
    ///
    /// let header = Header::from_fixed_part("B0080P0TE00E0000").unwrap();
    /// assert_eq!(header.usage, KeyUsage::P0_PIN_ENCRYPTION);
    /// assert!(Header::from_fixed_part("B0080P0?E00E0000").is_none());
    /// ```
    #[must_use]
    pub fn from_fixed_part(text: &str) -> Option<Self> {
        let fixed: &[u8; HEADER_LEN] = text.as_bytes().try_into().ok()?;
        let [
            version,
            _,
            _,
            _,
            _,
            u1,
            u2,
            algorithm,
            mode,
            k1,
            k2,
            export,
            _,
            _,
            context,
            b'0',
        ] = *fixed
        else {
            return None;
        };
        Some(Self {
            version: KeyBlockVersion::of_code(version)?,
            usage: KeyUsage::from_code([u1, u2])?,
            algorithm: Algorithm::of_code(algorithm)?,
            mode_of_use: ModeOfUse::of_code(mode)?,
            key_version: [k1, k2],
            exportability: Exportability::of_code(export)?,
            key_context: KeyContext::of_code(context)?,
            optional_blocks: Vec::new(),
        })
    }

    /// Reads header and optional blocks at the start of a key block, and how many characters they take. Checks the length field.
    pub(super) fn parse(block: &str) -> Option<(Self, usize)> {
        if !block.bytes().all(is_printable) {
            return None;
        }
        let (fixed, mut rest) = block.split_at_checked(HEADER_LEN)?;
        let mut header = Self::from_fixed_part(fixed)?;
        let [_, l1, l2, l3, l4, .., c1, c2, _, _] = fixed.as_bytes() else {
            return None;
        };
        if decimal(&[*l1, *l2, *l3, *l4])? != block.len() {
            return None;
        }
        for _ in 0..decimal(&[*c1, *c2])? {
            let (head, after) = rest.split_at_checked(OPTIONAL_BLOCK_HEADER_LEN)?;
            let [id_1, id_2, length @ ..] = head.as_bytes() else {
                return None;
            };
            let [len] = super::from_hex(std::str::from_utf8(length).ok()?)?
                .try_into()
                .ok()?;
            let (data, after) =
                after.split_at_checked(usize::from(len).checked_sub(OPTIONAL_BLOCK_HEADER_LEN)?)?;
            let id = [*id_1, *id_2];
            if id != ID_PB_PADDING {
                header.optional_blocks.push(OptionalBlock::new(id, data)?);
            }
            rest = after;
        }
        let header_len = block.len() - rest.len();
        header_len
            .is_multiple_of(header.version.block_len_bytes())
            .then_some((header, header_len))
    }
}

fn push_optional(text: &mut String, [id_1, id_2]: [u8; 2], data: &str) {
    let len = data.len() + OPTIONAL_BLOCK_HEADER_LEN;
    let (id_1, id_2) = (char::from(id_1), char::from(id_2));
    write!(text, "{id_1}{id_2}{len:02X}{data}").expect("writing to a String always succeeds");
}

fn decimal(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0, |value, digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + usize::from(digit - b'0'))
    })
}

fn is_printable(character: u8) -> bool {
    (0x20..=0x7E).contains(&character)
}
