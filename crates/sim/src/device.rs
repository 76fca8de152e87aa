//! The cardmember's device: seals PINs for the HSM and opens the one it is shown, as the App does.
//!
//! A one-time P-256 key pair per envelope; ECDH; one-step concat KDF with SHA-256 (NIST SP 800-56A rev. 3, 5.8.2.1); PIN
//! blocks of ISO 9564-1:2017 format 4 over the envelope's account digits. The byte layout is the product's public
//! one; evidence: `crates/hsm/vectors/envelope.json`, which no Rust code made.

use std::fmt;

use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{self, ECDSA_P256_SHA256_FIXED};
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::pin::Pin;
use paycrypto::pinblock::iso4;
use zeroize::Zeroizing;

/// Length of an uncompressed P-256 point.
pub const POINT_LEN_BYTES: usize = 65;

/// What a PIN block is for; its name goes into the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Current,
    New,
    Reveal,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::New => "new",
            Self::Reveal => "reveal",
        }
    }
}

/// An envelope can't be used. Says no more, since there is nothing else that a device could do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the PIN envelope can't be used")]
pub struct EnvelopeError;

/// What a device takes of an envelope offer.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    pub nonce: [u8; 16],
    /// `create_pin`, `change_pin` or `view_pin`.
    pub operation: &'a str,
    /// 16 decimal digits.
    pub account: &'a str,
    /// Milliseconds since 1970.
    pub expires_ms: i64,
    /// Uncompressed P-256 point.
    pub hsm_public: &'a [u8],
    /// ECDSA with SHA-256, `r ‖ s`.
    pub signature: &'a [u8],
}

impl Offer<'_> {
    /// Whether the HSM with this identity key (uncompressed point) made the offer, as it stands.
    #[must_use]
    pub fn is_signed_by(&self, identity_public: &[u8]) -> bool {
        let message = [
            b"pinward envelope v1",
            &self.nonce[..],
            self.operation.as_bytes(),
            self.account.as_bytes(),
            &self.expires_ms.to_be_bytes(),
            self.hsm_public,
        ]
        .concat();
        signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, identity_public)
            .verify(&message, self.signature)
            .is_ok()
    }
}

/// A device's side of one envelope. Prints no secret.
pub struct Envelope {
    nonce: [u8; 16],
    account: AccountDigits,
    hsm_public: Vec<u8>,
    device_public: Vec<u8>,
    shared_secret: Zeroizing<[u8; 32]>,
}

impl Envelope {
    /// Answers an offer with a new one-time key. Refuses a point that isn't on the curve, and an account that isn't digits.
    pub fn open(offer: &Offer<'_>) -> Result<Self, EnvelopeError> {
        let key = PrivateKey::generate(&ECDH_P256).map_err(|_| EnvelopeError)?;
        Self::open_with(&key, offer)
    }

    fn open_with(key: &PrivateKey, offer: &Offer<'_>) -> Result<Self, EnvelopeError> {
        let device_public = key.compute_public_key().map_err(|_| EnvelopeError)?;
        let hsm_public = UnparsedPublicKey::new(&ECDH_P256, offer.hsm_public);
        let shared_secret = agreement::agree(key, hsm_public, EnvelopeError, |shared| {
            shared.try_into().map(Zeroizing::new).map_err(|_| EnvelopeError)
        })?;
        Ok(Self {
            nonce: offer.nonce,
            account: AccountDigits::parse(offer.account).ok_or(EnvelopeError)?,
            hsm_public: offer.hsm_public.to_vec(),
            device_public: device_public.as_ref().to_vec(),
            shared_secret,
        })
    }

    /// The device's one-time public key, to be sent back: an uncompressed point.
    #[must_use]
    pub fn device_public(&self) -> &[u8] {
        &self.device_public
    }

    /// Seals a PIN for the HSM.
    #[must_use]
    pub fn seal(&self, role: Role, pin: &Pin) -> [u8; 16] {
        let mut random = [0; 8];
        getrandom::fill(&mut random).expect("the system gives random numbers");
        iso4::encipher(&self.key(role), pin, &self.account, &random)
    }

    /// Opens the PIN that the HSM reveals. Refuses a block that isn't for this envelope.
    pub fn open_revealed(&self, block: [u8; 16]) -> Result<Pin, EnvelopeError> {
        iso4::decipher(&self.key(Role::Reveal), block, &self.account).map_err(|_| EnvelopeError)
    }

    fn key(&self, role: Role) -> AesKey {
        let input = Zeroizing::new(
            [
                &1_u32.to_be_bytes()[..],
                &*self.shared_secret,
                b"pinward",
                role.name().as_bytes(),
                &self.device_public,
                &self.hsm_public,
                &self.nonce,
            ]
            .concat(),
        );
        let hash = digest(&SHA256, &input);
        let (key, _) = hash.as_ref().split_at(16);
        AesKey::from_bytes(key).expect("AES takes 16 bytes")
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Envelope(•)")
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use serde_json::Value;

    use super::*;

    /// `crates/hsm/vectors/envelope.json`, made with pyca/cryptography.
    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../hsm/vectors/envelope.json")).unwrap()
    }

    fn bytes(vectors: &Value, name: &str) -> Vec<u8> {
        HEXLOWER
            .decode(vectors[name].as_str().unwrap().as_bytes())
            .unwrap()
    }

    fn opened(vectors: &Value) -> Envelope {
        let key = PrivateKey::from_private_key(&ECDH_P256, &bytes(vectors, "device_private")).unwrap();
        let hsm_public = bytes(vectors, "hsm_public");
        let offer = Offer {
            nonce: bytes(vectors, "nonce").try_into().unwrap(),
            operation: "change_pin",
            account: vectors["account"].as_str().unwrap(),
            expires_ms: vectors["expires_ms"].as_i64().unwrap(),
            hsm_public: &hsm_public,
            signature: &bytes(vectors, "signature"),
        };
        assert!(offer.is_signed_by(&bytes(vectors, "identity_public")));
        assert!(
            !Offer {
                expires_ms: offer.expires_ms + 1,
                ..offer
            }
            .is_signed_by(&bytes(vectors, "identity_public"))
        );
        Envelope::open_with(&key, &offer).unwrap()
    }

    #[test]
    fn a_device_agrees_with_the_published_vectors_of_the_envelope() {
        let vectors = vectors();
        let envelope = opened(&vectors);
        assert_eq!(envelope.device_public(), bytes(&vectors, "device_public"));
        for block in vectors["blocks"].as_array().unwrap() {
            let role = match block["role"].as_str().unwrap() {
                "current" => Role::Current,
                "new" => Role::New,
                _ => Role::Reveal,
            };
            let pin = Pin::parse(block["pin"].as_str().unwrap()).unwrap();
            let fill = bytes(block, "fill").try_into().unwrap();
            assert_eq!(envelope.key(role).expose_bytes(), bytes(block, "key"));
            let sealed = iso4::encipher(&envelope.key(role), &pin, &envelope.account, &fill);
            assert_eq!(sealed.to_vec(), bytes(block, "block"));
            if role == Role::Reveal {
                assert_eq!(envelope.open_revealed(sealed), Ok(pin));
            }
        }
    }

    #[test]
    fn an_envelope_of_a_point_off_the_curve_is_refused() {
        let mut hsm_public = bytes(&vectors(), "hsm_public");
        hsm_public[64] ^= 1;
        let offer = Offer {
            nonce: [0; 16],
            operation: "view_pin",
            account: "9079201735462880",
            expires_ms: 0,
            hsm_public: &hsm_public,
            signature: &[],
        };
        assert!(Envelope::open(&offer).is_err());
    }

    #[test]
    fn the_keys_of_two_devices_differ() {
        let hsm_public = bytes(&vectors(), "hsm_public");
        let offer = Offer {
            nonce: [0; 16],
            operation: "view_pin",
            account: "9079201735462880",
            expires_ms: 0,
            hsm_public: &hsm_public,
            signature: &[],
        };
        let (one, other) = (Envelope::open(&offer).unwrap(), Envelope::open(&offer).unwrap());
        assert!(one.key(Role::New).expose_bytes() != other.key(Role::New).expose_bytes());
        assert_eq!(one.device_public().len(), POINT_LEN_BYTES);
    }
}
