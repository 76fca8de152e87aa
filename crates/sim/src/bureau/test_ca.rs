//! A certification authority for tests: it certifies the fictional issuer, which certifies cards, so that a terminal can
//! authenticate them offline (EMV 4.4 Book 2, 5.1, 6.1 and annex A2.1). Its keys are in the source, and worthless.

use data_encoding::HEXUPPER;

use crate::card::certified_key::{CertifiedKey, sha1};
use crate::card::perso::Perso;
use crate::card::records;
use crate::rsa::{RsaPrivateKey, RsaPublicKey};

/// Index of the authority's key (tag 8F).
pub const CA_INDEX: u8 = 0x01;

/// Bytes of a card's modulus.
const ICC_MODULUS_LEN: usize = 128;

/// Last month of the issuer's certificate, MMYY.
const ISSUER_EXPIRY: [u8; 2] = [0x12, 0x49];

/// Bytes of an issuer's certificate that are not its modulus, and of a card's.
const ISSUER_HEAD_LEN: usize = 36;
const ICC_HEAD_LEN: usize = 42;

/// The authority, and the issuer whose key it certifies.
pub struct TestCa {
    ca: RsaPrivateKey,
    issuer: RsaPrivateKey,
}

impl TestCa {
    /// The one whose keys are in `test-ca.txt`.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            ca: built_in_key("ca"),
            issuer: built_in_key("issuer"),
        }
    }

    /// The key that a terminal knows it by.
    #[must_use]
    pub fn public_key(&self) -> &RsaPublicKey {
        self.ca.public()
    }

    /// Gives a card a key of its own, with the two certificates that prove it. `None` where the system gives no random
    /// numbers.
    #[must_use]
    pub fn certify(&self, perso: &mut Perso) -> Option<()> {
        let mut serial = [0; 3];
        getrandom::fill(&mut serial).ok()?;
        let key = RsaPrivateKey::generate(ICC_MODULUS_LEN)?;
        let (issuer_certificate, issuer_remainder) = self.issuer_certificate(perso)?;
        perso.certified_key = Some(CertifiedKey {
            ca_index: CA_INDEX,
            issuer_certificate,
            issuer_remainder,
            issuer_exponent: self.issuer.public().exponent().to_vec(),
            icc_certificate: Vec::new(),
            icc_remainder: Vec::new(),
            key,
        });
        // The records that the card's certificate covers tell that the card has a key, so the certificate comes last.
        let (certificate, remainder) = self.icc_certificate(perso, serial)?;
        let certified = perso.certified_key.as_mut()?;
        certified.icc_certificate = certificate;
        certified.icc_remainder = remainder;
        Some(())
    }

    /// Certificate (tag 90) and remainder (92) of the issuer's key, for the first digits of a card's number.
    fn issuer_certificate(&self, perso: &Perso) -> Option<(Vec<u8>, Vec<u8>)> {
        let digits = perso.pan.expose_digits();
        let identifier = format!("{}FF", digits.get(..6)?);
        let head = [
            &[0x02][..],
            &HEXUPPER.decode(identifier.as_bytes()).ok()?,
            &ISSUER_EXPIRY,
            &[0x00, 0x00, 0x01],
        ]
        .concat();
        certificate(&self.ca, &head, self.issuer.public(), &[], ISSUER_HEAD_LEN)
    }

    /// Certificate (tag 9F46) and remainder (9F48) of the card's key. It covers the records that the file locator marks.
    fn icc_certificate(&self, perso: &Perso, serial: [u8; 3]) -> Option<(Vec<u8>, Vec<u8>)> {
        let pan = format!("{:F<20}", perso.pan.expose_digits());
        let yymm = perso.expiry.yymm();
        let (year, month) = yymm.split_at_checked(2)?;
        let head = [
            &[0x04][..],
            &HEXUPPER.decode(pan.as_bytes()).ok()?,
            &HEXUPPER.decode(format!("{month}{year}").as_bytes()).ok()?,
            &serial,
        ]
        .concat();
        let static_data = records::authenticated(perso);
        let key = perso.certified_key.as_ref()?.key.public();
        certificate(&self.issuer, &head, key, &static_data, ICC_HEAD_LEN)
    }
}

/// A certificate with message recovery, and what of the modulus has no room in it.
///
/// | part | bytes |
/// |---|---|
/// | `6A` | 1 |
/// | head: format, holder, expiry MMYY, serial number | 10 or 16 |
/// | hash algorithm, key algorithm, both `01` | 2 |
/// | lengths of modulus and exponent | 2 |
/// | leftmost bytes of the modulus, filled with `BB` | the signer's length less 36 or 42 |
/// | SHA-1 from the head on, with remainder, exponent and static data | 20 |
/// | `BC` | 1 |
fn certificate(
    signer: &RsaPrivateKey,
    head: &[u8],
    key: &RsaPublicKey,
    static_data: &[u8],
    overhead: usize,
) -> Option<(Vec<u8>, Vec<u8>)> {
    let room = signer.public().modulus().len().checked_sub(overhead)?;
    let modulus_len = u8::try_from(key.modulus().len()).ok()?;
    let exponent_len = u8::try_from(key.exponent().len()).ok()?;
    let (inside, remainder) = key.modulus().split_at(room.min(key.modulus().len()));
    let fill = vec![0xBB; room - inside.len()];
    let told = [head, &[0x01, 0x01, modulus_len, exponent_len], inside, &fill].concat();
    let hash = sha1(&[&told, remainder, key.exponent(), static_data]);
    let block = [&[0x6A][..], &told, &hash, &[0xBC]].concat();
    Some((signer.apply(&block)?, remainder.to_vec()))
}

fn built_in_key(name: &str) -> RsaPrivateKey {
    let text = include_str!("test-ca.txt");
    let value = |part: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}_{part} ")));
        let digits = line.expect("the file has both keys, in two lines each");
        HEXUPPER
            .decode(digits.as_bytes())
            .expect("the file is hexadecimal")
    };
    RsaPrivateKey::from_parts(&value("modulus"), &[0x03], &value("private_exponent"))
        .expect("the file's keys fit together")
}
