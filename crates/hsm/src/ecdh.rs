//! Key agreement of a PIN envelope, and the signature of its offer. The bytes are in [`SealedEnvelope`] and
//! [`EnvelopeOffer`].
//!
//! [`SealedEnvelope`]: crate::SealedEnvelope
//! [`EnvelopeOffer`]: crate::EnvelopeOffer

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use cards::Timestamp;
use paycrypto::aes_key::AesKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::seam::{HsmFault, HsmRefusal, PinOperation};

const POINT_LEN_BYTES: usize = 65;
const POINT_UNCOMPRESSED: u8 = 0x04;

/// The HSM's half of one envelope's key agreement.
pub(crate) struct OneTimeKey {
    private: PrivateKey,
    public: Vec<u8>,
}

/// What one of an envelope's keys is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
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

impl OneTimeKey {
    pub(crate) fn generate() -> Result<Self, HsmFault> {
        PrivateKey::generate(&ECDH_P256)
            .and_then(Self::with_public)
            .map_err(|_| HsmFault::NoAnswer("no P-256 key could be made".into()))
    }

    fn with_public(private: PrivateKey) -> Result<Self, Unspecified> {
        let public = private.compute_public_key()?.as_ref().to_vec();
        Ok(Self { private, public })
    }

    /// Uncompressed point, 65 bytes.
    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// Agrees with a device's one-time key.
    ///
    /// Refuses anything but an uncompressed point of 65 bytes on P-256.
    pub(crate) fn agree(&self, device_public: &[u8], nonce: &[u8; 16]) -> Result<Agreement, HsmRefusal> {
        let uncompressed =
            device_public.len() == POINT_LEN_BYTES && device_public.first() == Some(&POINT_UNCOMPRESSED);
        if !uncompressed {
            return Err(HsmRefusal::PinBlock);
        }
        let peer = UnparsedPublicKey::new(&ECDH_P256, device_public);
        agree(&self.private, peer, HsmRefusal::PinBlock, |z| {
            let context = [device_public, &self.public, nonce.as_slice()].concat();
            Ok(Agreement {
                z: Zeroizing::new(z.to_vec()),
                context,
            })
        })
    }
}

/// A shared secret with the public values that its keys are bound to.
pub(crate) struct Agreement {
    z: Zeroizing<Vec<u8>>,
    /// `device_public ‖ hsm_public ‖ nonce`.
    context: Vec<u8>,
}

impl Agreement {
    /// One-step concat KDF with SHA-256, NIST SP 800-56A rev. 3 5.8.2.1; leftmost 16 bytes.
    pub(crate) fn pin_key(&self, role: Role) -> AesKey {
        let digest = Sha256::new()
            .chain_update(1_u32.to_be_bytes())
            .chain_update(self.z.as_slice())
            .chain_update("pinward")
            .chain_update(role.name())
            .chain_update(&self.context)
            .finalize();
        let digest = Zeroizing::new(<[u8; 32]>::from(digest));
        let (key, _rest) = digest.split_first_chunk::<16>().expect("SHA-256 has 32 bytes");
        AesKey::from_bytes(key).expect("16 bytes are an AES key")
    }
}

/// The P-256 key that signs envelope offers.
pub(crate) struct IdentityKey {
    pair: EcdsaKeyPair,
    scalar: Zeroizing<[u8; 32]>,
}

impl IdentityKey {
    pub(crate) fn generate_scalar() -> Result<Zeroizing<Vec<u8>>, HsmFault> {
        let scalar = PrivateKey::generate(&ECDH_P256)
            .and_then(|key| AsBigEndian::<EcPrivateKeyBin<'_>>::as_be_bytes(&key))
            .map_err(|_| HsmFault::NoAnswer("no P-256 key could be made".into()))?;
        Ok(Zeroizing::new(scalar.as_ref().to_vec()))
    }

    /// Takes the private scalar, 32 bytes, big-endian. Refuses zero and numbers not below the group's order.
    pub(crate) fn from_scalar(scalar: &[u8]) -> Option<Self> {
        let private = PrivateKey::from_private_key(&ECDH_P256, scalar).ok()?;
        let public = private.compute_public_key().ok()?;
        let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
        Some(Self {
            pair: EcdsaKeyPair::from_private_key_and_public_key(signing, scalar, public.as_ref()).ok()?,
            scalar: Zeroizing::new(scalar.try_into().ok()?),
        })
    }

    /// Private scalar. Every call is a place an auditor will read.
    pub(crate) fn expose_scalar(&self) -> &[u8; 32] {
        &self.scalar
    }

    /// Uncompressed point, 65 bytes.
    pub(crate) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// `r ‖ s`, 64 bytes.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, HsmFault> {
        self.pair
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| HsmFault::NoAnswer("the envelope offer could not be signed".into()))
    }
}

/// What the signature of an offer covers.
pub(crate) fn offer_message(
    nonce: &[u8; 16],
    operation: PinOperation,
    account: &str,
    expires: Timestamp,
    hsm_public: &[u8],
) -> Vec<u8> {
    let operation = match operation {
        PinOperation::CreatePin => "create_pin",
        PinOperation::ChangePin => "change_pin",
        PinOperation::ViewPin => "view_pin",
    };
    [
        b"pinward envelope v1".as_slice(),
        nonce,
        operation.as_bytes(),
        account.as_bytes(),
        &expires.0.to_be_bytes(),
        hsm_public,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey as VerifyingKey};
    use data_encoding::HEXLOWER;
    use paycrypto::account::AccountDigits;
    use paycrypto::pin::Pin;
    use paycrypto::pinblock::iso4;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        nonce: String,
        account: String,
        expires_ms: i64,
        hsm_private: String,
        hsm_public: String,
        device_private: String,
        device_public: String,
        identity_private: String,
        identity_public: String,
        signed_message: String,
        signature: String,
        shared_secret: String,
        blocks: Vec<Block>,
    }

    #[derive(Deserialize)]
    struct Block {
        role: String,
        pin: String,
        fill: String,
        key: String,
        block: String,
    }

    fn vectors() -> Vectors {
        serde_json::from_str(include_str!("../vectors/envelope.json")).unwrap()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    fn one_time_key(scalar: &str) -> OneTimeKey {
        OneTimeKey::with_public(PrivateKey::from_private_key(&ECDH_P256, &bytes(scalar)).unwrap()).unwrap()
    }

    fn nonce(vectors: &Vectors) -> [u8; 16] {
        bytes(&vectors.nonce).try_into().unwrap()
    }

    #[test]
    fn the_envelope_vectors_agree_on_secret_keys_and_blocks() {
        let vectors = vectors();
        let hsm = one_time_key(&vectors.hsm_private);
        assert_eq!(hsm.public(), bytes(&vectors.hsm_public));
        assert_eq!(
            one_time_key(&vectors.device_private).public(),
            bytes(&vectors.device_public)
        );
        let agreement = hsm
            .agree(&bytes(&vectors.device_public), &nonce(&vectors))
            .unwrap();
        assert_eq!(*agreement.z, bytes(&vectors.shared_secret));
        let account = AccountDigits::parse(&vectors.account).unwrap();
        for block in &vectors.blocks {
            let role = [Role::Current, Role::New, Role::Reveal]
                .into_iter()
                .find(|role| role.name() == block.role)
                .unwrap();
            let key = agreement.pin_key(role);
            assert_eq!(key.expose_bytes(), bytes(&block.key), "{}", block.role);
            let pin = Pin::parse(&block.pin).unwrap();
            let fill = bytes(&block.fill).try_into().unwrap();
            let sealed = iso4::encipher(&key, &pin, &account, &fill);
            assert_eq!(sealed.as_slice(), bytes(&block.block), "{}", block.role);
            assert_eq!(iso4::decipher(&key, sealed, &account), Ok(pin));
        }
    }

    #[test]
    fn the_offers_signature_covers_the_bytes_of_the_vectors() {
        let vectors = vectors();
        let message = offer_message(
            &nonce(&vectors),
            PinOperation::ChangePin,
            &vectors.account,
            Timestamp(vectors.expires_ms),
            &bytes(&vectors.hsm_public),
        );
        assert_eq!(message, bytes(&vectors.signed_message));
        let identity = IdentityKey::from_scalar(&bytes(&vectors.identity_private)).unwrap();
        assert_eq!(identity.public(), bytes(&vectors.identity_public));
        let verifier = VerifyingKey::new(&ECDSA_P256_SHA256_FIXED, identity.public());
        verifier.verify(&message, &bytes(&vectors.signature)).unwrap();
        verifier
            .verify(&message, &identity.sign(&message).unwrap())
            .unwrap();
        let mut other = message.clone();
        other[40] ^= 1;
        verifier.verify(&other, &bytes(&vectors.signature)).unwrap_err();
    }

    #[test]
    fn a_device_key_that_is_no_uncompressed_point_of_the_curve_is_refused() {
        let vectors = vectors();
        let hsm = one_time_key(&vectors.hsm_private);
        let point = bytes(&vectors.device_public);
        let mut off_curve = point.clone();
        off_curve[64] ^= 1;
        let mut compressed = point[..33].to_vec();
        compressed[0] = 2 + (point[64] & 1);
        let mut hybrid = point.clone();
        hybrid[0] = 6 + (point[64] & 1);
        for bad in [
            vec![],
            vec![4; 65],
            off_curve,
            compressed,
            hybrid,
            [point, vec![0]].concat(),
        ] {
            assert_eq!(
                hsm.agree(&bad, &nonce(&vectors)).err(),
                Some(HsmRefusal::PinBlock)
            );
        }
    }
}
