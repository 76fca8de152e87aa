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
    /// PIN tries that a card status update gives the chip, 1 to 15.
    pub csu_tries: u8,
    /// The chip has a bit for "PIN change successful", and a PIN change counts as applied only with it.
    pub pin_change_bit: bool,
    /// The first attempt at a new PIN is made with the chip's present one (P2 = 01) where that is known.
    pub with_current_pin: bool,
    /// Where the chip data don't say how the card met the terminal (tag 9F39), the message's field 22 alone proves that it
    /// was inserted.
    pub contact_by_field_22: bool,
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
    /// The chip's own PIN try limit, 1 to 15, where it isn't the programme's `tries_max`.
    #[serde(default)]
    pub csu_tries: Option<u8>,
    /// False for M/Chip products that don't set the bit, or keep it set.
    #[serde(default)]
    pub pin_change_bit: Option<bool>,
    /// Only where a public source shows the new PIN's block.
    #[serde(default)]
    pub with_current_pin: Option<bool>,
    /// Only where every acquirer's field 22 can be relied on.
    #[serde(default)]
    pub contact_by_field_22: Option<bool>,
}

/// A script setting that the programme's profile can't do, or that is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {wanted}")]
pub struct ScriptSettingError {
    /// Its name in `[programme.script]`.
    pub setting: &'static str,
    /// What it may be.
    pub wanted: &'static str,
}

const ATTEMPTS_MAX: u8 = 5;
const EXPIRES_AFTER_DAYS: u16 = 400;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl Programme {
    /// The profile's rules with the programme's own settings, which [`Programme::check_script`] has let pass; what the
    /// profile can't do is left out.
    #[must_use]
    pub fn script_rules(&self) -> ScriptRules {
        let (scheme, said) = (self.scheme, &self.script);
        let template = said.template.unwrap_or(ScriptTemplate::AfterFinalAc);
        let days = said.expires_after_days.unwrap_or(EXPIRES_AFTER_DAYS);
        ScriptRules {
            report: said.report.unwrap_or(report(scheme, template)),
            counts: self.report_counts(),
            template,
            commands_max: said
                .commands_max
                .filter(|_| self.takes_two_commands())
                .unwrap_or(1),
            attempts_max: said.attempts_max.unwrap_or(ATTEMPTS_MAX),
            expires_after_ms: i64::from(days) * DAY_MS,
            unblock_by_csu: said.unblock_by_csu.unwrap_or(true) && answers_with_csu(scheme),
            csu_tries: said.csu_tries.unwrap_or(self.tries_max),
            pin_change_bit: said.pin_change_bit.unwrap_or(true) && has_pin_change_bit(scheme),
            with_current_pin: said.with_current_pin.unwrap_or(false) && takes_current_pin(scheme),
            contact_by_field_22: said.contact_by_field_22.unwrap_or(false),
        }
    }

    /// Refuses script settings out of their range, and those that the profile can't do: two commands where the second's MAC
    /// or the counter's meaning isn't settled, a card status update without ARPC method 2, a bit that the chip doesn't have,
    /// a block with the current PIN that no public source shows.
    pub fn check_script(&self) -> Result<(), ScriptSettingError> {
        let (scheme, said) = (self.scheme, &self.script);
        let rows = [
            (
                "commands_max",
                said.commands_max.is_none_or(|most| (1..=2).contains(&most)),
                "1 or 2",
            ),
            (
                "commands_max",
                said.commands_max != Some(2) || self.takes_two_commands(),
                "2 only with mastercard-cvn16, -cvn17, -cvn20, -cvn21 or ccd-tdes, and where counts is not unverified",
            ),
            ("attempts_max", said.attempts_max != Some(0), "at least 1"),
            (
                "expires_after_days",
                said.expires_after_days != Some(0),
                "at least 1",
            ),
            (
                "unblock_by_csu",
                said.unblock_by_csu != Some(true) || answers_with_csu(scheme),
                "true only with visa-cvn18, visa-cvn22, ccd-tdes or ccd-aes",
            ),
            (
                "csu_tries",
                said.csu_tries.is_none_or(|tries| (1..=15).contains(&tries)),
                "1 to 15",
            ),
            (
                "csu_tries",
                said.csu_tries.is_none() || answers_with_csu(scheme),
                "only with visa-cvn18, visa-cvn22, ccd-tdes or ccd-aes",
            ),
            (
                "pin_change_bit",
                said.pin_change_bit != Some(true) || has_pin_change_bit(scheme),
                "true only with mastercard-cvn16, -cvn17, -cvn20, -cvn21 or emv2000",
            ),
            (
                "with_current_pin",
                said.with_current_pin != Some(true) || takes_current_pin(scheme),
                "true only with visa-cvn10, visa-cvn18, visa-cvn22 or amex-unverified",
            ),
        ];
        let refused = rows.into_iter().find(|(_, can_be, _)| !can_be);
        refused.map_or(Ok(()), |(setting, _, wanted)| {
            Err(ScriptSettingError { setting, wanted })
        })
    }

    fn report_counts(&self) -> ReportCounts {
        self.script.counts.unwrap_or(counts(self.scheme))
    }

    fn takes_two_commands(&self) -> bool {
        let counter_is_known = match self.report_counts() {
            ReportCounts::Received | ReportCounts::Succeeded => true,
            ReportCounts::Unverified => false,
        };
        counter_is_known && chains_commands(self.scheme)
    }
}

/// What a missing report proves where nothing more is known of the product. Whether Interac's and Amex's cards report
/// scripts at all is unverified; so is, where a script is performed before the chip's final cryptogram, whether that very
/// cryptogram ends the report.
fn report(scheme: Scheme, template: ScriptTemplate) -> ReportKept {
    match scheme {
        _ if template == ScriptTemplate::BeforeFinalAc => ReportKept::Unreliable,
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

/// Whether the chip's report has a bit for a PIN change that succeeded: M/Chip's layout.
fn has_pin_change_bit(scheme: Scheme) -> bool {
    match scheme {
        Scheme::MastercardCvn16
        | Scheme::MastercardCvn17
        | Scheme::MastercardCvn20
        | Scheme::MastercardCvn21
        | Scheme::Emv2000 => true,
        Scheme::VisaCvn10
        | Scheme::VisaCvn18
        | Scheme::VisaCvn22
        | Scheme::InteracCvn133
        | Scheme::CcdTdes
        | Scheme::CcdAes
        | Scheme::AmexUnverified => false,
    }
}

/// Whether a public source shows how a new PIN is enciphered together with the current one: Visa's, and Amex's built like
/// it (IBM CCA, PIN Change/Unblock).
fn takes_current_pin(scheme: Scheme) -> bool {
    match scheme {
        Scheme::VisaCvn10 | Scheme::VisaCvn18 | Scheme::VisaCvn22 | Scheme::AmexUnverified => true,
        Scheme::MastercardCvn16
        | Scheme::MastercardCvn17
        | Scheme::MastercardCvn20
        | Scheme::MastercardCvn21
        | Scheme::InteracCvn133
        | Scheme::CcdTdes
        | Scheme::CcdAes
        | Scheme::Emv2000 => false,
    }
}
