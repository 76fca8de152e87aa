//! The keys of the chip cases: a version, and the card's master keys or the issuer's with the card's number.

use paycrypto::cvn::Cvn;
use paycrypto::emv_key::{EmvAlgorithm, EmvKey};
use paycrypto::icc_keys::{CardKeys, IssuerKey, icc_master_key};

use super::case::{Case, Refusal};

/// What `--help` says of these fields; the subcommand's own follow.
macro_rules! help_of_keys {
    ($first:literal, $fields:literal) => {
        concat!(
            $first,
            r#"

Test keys and test PINs only. One JSON object a line in, one a line out.

  cvn       "visa-cvn10", "visa-cvn18", "visa-cvn22", "mastercard-cvn16", "mastercard-cvn17", "mastercard-cvn20",
            "mastercard-cvn21", "interac-cvn133", "ccd-tdes", "ccd-aes", "emv2000" or "amex-unverified"
  imk_ac    an issuer master key; with it account and psn. 32 hexadecimal digits, double-length TDES; ccd-aes: 32, 48 or
            64, AES
  account   the PAN, 8 to 19 decimal digits
  psn       2 decimal digits: the PAN sequence number. "00" where absent
  icc_mk_ac the card's own master key, instead of the three above
"#,
            $fields
        )
    };
}
pub(super) use help_of_keys;

pub(super) fn cvn(case: &Case) -> Result<Cvn, Refusal> {
    case.parsed("cvn", "a chip profile, such as visa-cvn18", Cvn::named)
}

/// The card's key of this name, or derived from the issuer's of that.
pub(super) fn icc_key(
    case: &Case,
    cvn: Cvn,
    icc_name: &'static str,
    issuer_name: &'static str,
) -> Result<EmvKey, Refusal> {
    if case.has(icc_name) {
        return key(case, cvn, icc_name);
    }
    let issuer_key = key(case, cvn, issuer_name)?;
    let issuer_key = match &issuer_key {
        EmvKey::Tdes(key) => IssuerKey::Tdes(key),
        EmvKey::Aes(key) => IssuerKey::Aes(key),
    };
    icc_master_key(cvn.profile().icc_key, issuer_key, &case.account()?, case.psn()?)
        .map_err(|error| format!("{issuer_name}: {error}"))
}

fn key(case: &Case, cvn: Cvn, name: &'static str) -> Result<EmvKey, Refusal> {
    let wants = match cvn.algorithm() {
        EmvAlgorithm::Tdes => "32 hexadecimal digits, for this version TDES",
        EmvAlgorithm::Aes => "32, 48 or 64 hexadecimal digits, for this version AES",
    };
    let bytes = case.bytes(name)?;
    EmvKey::from_bytes(cvn.algorithm(), &bytes).ok_or_else(|| format!("{name}: must be {wants}"))
}

pub(super) fn card_keys(case: &Case) -> Result<CardKeys, Refusal> {
    let cvn = cvn(case)?;
    CardKeys::new(
        cvn,
        icc_key(case, cvn, "icc_mk_ac", "imk_ac")?,
        icc_key(case, cvn, "icc_mk_smi", "imk_smi")?,
        icc_key(case, cvn, "icc_mk_smc", "imk_smc")?,
    )
    .map_err(|error| error.to_string())
}
