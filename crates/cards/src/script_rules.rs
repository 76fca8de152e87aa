//! How the scripts of a programme's chips are sent, and what their reports prove: per profile, settable per programme.
//!
//! No public source says when a chip forgets what it did with a script, nor, for most profiles, what its counter counts.
//! Each default is therefore the reading that needs the least of the chip; an issuer who knows the product says more
//! (`[programme.script]`). `docs/adr/0007-script-proof.md` shows what each setting proves.

use serde::{Deserialize, Serialize};

use crate::{Programme, Scheme};

/// How long a chip's cryptograms go on reporting a script: what a cryptogram without a report proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportKept {
    /// Until an issuer is authenticated in a later transaction. Then every later insertion without a report proves that
    /// the script was not performed, whatever lay between. Holds only while nobody else can authenticate to the chip:
    /// where a network stands in with the issuer's keys, choose [`ReportKept::UntilNextOnline`].
    UntilIssuerAuthenticated,
    /// At least until the next transaction has asked for the issuer. Then only the very next transaction proves it.
    UntilNextOnline,
    /// Nothing is known of it: a missing report proves nothing, nor does a reported failure.
    Unreliable,
}

/// What the chip's script counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportCounts {
    /// Commands that it received, those that failed too.
    Received,
    /// Commands that it performed.
    Succeeded,
    /// No public source tells: zero or not is all that is used, and a reported failure leaves both PINs possible.
    Unverified,
}

/// The template that a script travels in (EMV Book 3, 10.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScriptTemplate {
    /// `71`: performed before the final cryptogram.
    BeforeFinalAc,
    /// `72`: performed after it.
    AfterFinalAc,
}

/// The rules that a card's scripts follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptRules {
    pub report: ReportKept,
    pub counts: ReportCounts,
    pub template: ScriptTemplate,
    /// Commands of one transaction, 1 or 2.
    pub commands_max: u8,
    /// Attempts for one wish (a new PIN, an unlock) before a person must look at it.
    pub attempts_max: u8,
    /// Age at which a wish is no longer sent, in milliseconds.
    pub expires_after_ms: i64,
    /// An unlock sets the chip's PIN try counter in the card status update (ARPC method 2) and needs no script.
    pub unblock_by_csu: bool,
}

/// What a programme says differently from its profile (`[programme.script]`); what it leaves out is the profile's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptSettings {
    /// `until-issuer-authenticated`, `until-next-online` or `unreliable`.
    #[serde(default)]
    pub report: Option<ReportKept>,
    /// `received`, `succeeded` or `unverified`.
    #[serde(default)]
    pub counts: Option<ReportCounts>,
    /// `before-final-ac` (71) or `after-final-ac` (72).
    #[serde(default)]
    pub template: Option<ScriptTemplate>,
    /// 1, or 2 where a second command's MAC is settled and the counter's meaning known.
    #[serde(default)]
    pub commands_max: Option<u8>,
    #[serde(default)]
    pub attempts_max: Option<u8>,
    #[serde(default)]
    pub expires_after_days: Option<u16>,
    /// Only where the profile's ARPC is of method 2.
    #[serde(default)]
    pub unblock_by_csu: Option<bool>,
}

const ATTEMPTS_MAX: u8 = 5;
const EXPIRES_AFTER_DAYS: u16 = 400;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl Programme {
    /// The profile's rules with the programme's own settings. Two commands need a counter whose meaning is known, and a
    /// card status update needs ARPC method 2: without, both fall back.
    #[must_use]
    pub fn script_rules(&self) -> ScriptRules {
        let counts = self.script.counts.unwrap_or(counts(self.scheme));
        let commands_max = match counts {
            ReportCounts::Received | ReportCounts::Succeeded => self.script.commands_max.unwrap_or(1),
            ReportCounts::Unverified => 1,
        };
        let days = self.script.expires_after_days.unwrap_or(EXPIRES_AFTER_DAYS);
        ScriptRules {
            report: self.script.report.unwrap_or(report(self.scheme)),
            counts,
            template: self.script.template.unwrap_or(ScriptTemplate::AfterFinalAc),
            commands_max: if chains_commands(self.scheme) {
                commands_max
            } else {
                1
            },
            attempts_max: self.script.attempts_max.unwrap_or(ATTEMPTS_MAX),
            expires_after_ms: i64::from(days) * DAY_MS,
            unblock_by_csu: self.script.unblock_by_csu.unwrap_or(true) && answers_with_csu(self.scheme),
        }
    }
}

/// What a missing report proves where nothing more is known of the product. Where Interac's and Amex's cards report
/// scripts at all is unverified.
fn report(scheme: Scheme) -> ReportKept {
    match scheme {
        Scheme::VisaCvn10
        | Scheme::VisaCvn18
        | Scheme::VisaCvn22
        | Scheme::MastercardCvn16
        | Scheme::MastercardCvn17
        | Scheme::MastercardCvn20
        | Scheme::MastercardCvn21
        | Scheme::CcdTdes
        | Scheme::CcdAes
        | Scheme::Emv2000 => ReportKept::UntilNextOnline,
        Scheme::InteracCvn133 | Scheme::AmexUnverified => ReportKept::Unreliable,
    }
}

/// What public field tables call the counter (openemv's emv-utils).
fn counts(scheme: Scheme) -> ReportCounts {
    match scheme {
        Scheme::VisaCvn10 | Scheme::VisaCvn18 | Scheme::VisaCvn22 => ReportCounts::Received,
        Scheme::CcdTdes | Scheme::CcdAes => ReportCounts::Succeeded,
        Scheme::MastercardCvn16
        | Scheme::MastercardCvn17
        | Scheme::MastercardCvn20
        | Scheme::MastercardCvn21
        | Scheme::Emv2000
        | Scheme::InteracCvn133
        | Scheme::AmexUnverified => ReportCounts::Unverified,
    }
}

/// Whether a public source settles the MAC of a second command in one transaction: Mastercard's incremented random,
/// CCD's MAC chaining with TDES (EMV Book 2, 9.2.3). The HSM refuses it elsewhere.
fn chains_commands(scheme: Scheme) -> bool {
    match scheme {
        Scheme::MastercardCvn16
        | Scheme::MastercardCvn17
        | Scheme::MastercardCvn20
        | Scheme::MastercardCvn21
        | Scheme::CcdTdes => true,
        Scheme::VisaCvn10
        | Scheme::VisaCvn18
        | Scheme::VisaCvn22
        | Scheme::CcdAes
        | Scheme::Emv2000
        | Scheme::InteracCvn133
        | Scheme::AmexUnverified => false,
    }
}

/// Whether the answer carries a card status update: ARPC method 2 (EMV Book 2, 8.2.2).
fn answers_with_csu(scheme: Scheme) -> bool {
    match scheme {
        Scheme::VisaCvn18 | Scheme::VisaCvn22 | Scheme::CcdTdes | Scheme::CcdAes => true,
        Scheme::VisaCvn10
        | Scheme::MastercardCvn16
        | Scheme::MastercardCvn17
        | Scheme::MastercardCvn20
        | Scheme::MastercardCvn21
        | Scheme::Emv2000
        | Scheme::InteracCvn133
        | Scheme::AmexUnverified => false,
    }
}
