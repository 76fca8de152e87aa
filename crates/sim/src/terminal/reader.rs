//! A card in a terminal's reader or field: selecting its application, reading it, asking for cryptograms.

use std::collections::BTreeMap;

use emv::afl;
use emv::apdu::{Command, Response, SW_9000_OK, StatusWord};
use emv::dol::Dol;
use emv::field55::{CryptogramKind, Field55};
use emv::tags::{
    TAG_5A_PAN, TAG_5F24_EXPIRATION_DATE, TAG_5F34_PSN, TAG_8A_AUTHORISATION_RESPONSE_CODE, TAG_8C_CDOL1,
    TAG_8D_CDOL2, TAG_9F4A_SDA_TAG_LIST, TAG_9F4B_SIGNED_DYNAMIC_DATA, TAG_9F10_IAD,
    TAG_9F26_APPLICATION_CRYPTOGRAM, TAG_9F27_CID, TAG_9F33_TERMINAL_CAPABILITIES, TAG_9F36_ATC,
    TAG_9F38_PDOL, TAG_57_TRACK_2, TAG_70_RECORD_TEMPLATE, TAG_80_RESPONSE_FORMAT_1, TAG_82_AIP,
    TAG_83_COMMAND_TEMPLATE, TAG_84_DF_NAME, TAG_94_AFL,
};
use emv::tlv::{self, Tag, put};

use super::journey::{Party, Trouble};
use super::offline_auth::verify_signed_cryptogram;
use super::profile::TerminalProfile;
use super::slot::Card;
use super::terminal_data::TerminalData;
use super::trace::Trace;
use crate::acquirer::message::Message;
use crate::card::chip::Interface;
use crate::card::records::bcd;
use crate::card::tear::Tear;
use crate::rsa::RsaPublicKey;

/// Files whose records are covered by their content alone; of others the template counts too (EMV Book 3 10.3).
const SFI_EMV_MAX: u8 = 10;

/// A card with power.
pub(super) struct CardReader<'c> {
    card: &'c mut dyn Card,
    pub(super) interface: Interface,
    pub(super) trace: Trace,
}

/// What the card told about itself.
#[derive(Default)]
pub(super) struct CardData {
    objects: BTreeMap<Tag, Vec<u8>>,
    /// What it was told: values of the PDOL and of each CDOL so far.
    told: Vec<u8>,
    /// Records that its certificate covers.
    authenticated: Vec<u8>,
}

/// A card's cryptogram.
pub(super) struct Cryptogram {
    pub(super) kind: CryptogramKind,
    cid: u8,
    atc: [u8; 2],
    ac: [u8; 8],
    iad: Vec<u8>,
}

impl<'c> CardReader<'c> {
    /// Gives the card power.
    pub(super) fn insert(card: &'c mut dyn Card, interface: Interface) -> Self {
        card.power_on(interface);
        Self {
            card,
            interface,
            trace: Trace::default(),
        }
    }

    /// Orders a cut of the card's power.
    pub(super) fn tear(&mut self, tear: Tear) {
        self.card.tear(tear);
    }

    /// Cuts the card's power.
    pub(super) fn remove(&mut self) {
        self.card.power_off();
    }

    /// Sends a command; gives the data and the status.
    pub(super) fn send(&mut self, command: &Command<'_>) -> Result<(Vec<u8>, StatusWord), Trouble> {
        let bytes = command.to_bytes().map_err(|_| Trouble::CardUnusable)?;
        self.trace.command(command, &bytes);
        let answer = self.card.transmit(&bytes);
        if answer.is_empty() {
            return Err(Trouble::CardRemoved);
        }
        let response = Response::parse(&answer).map_err(|_| Trouble::CardUnusable)?;
        self.trace.response(command, &response);
        Ok((response.data.to_vec(), response.status))
    }

    /// Sends a command that has to succeed.
    fn ask(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Trouble> {
        match self.send(command)? {
            (data, SW_9000_OK) => Ok(data),
            _ => Err(Trouble::CardUnusable),
        }
    }

    /// Selects the application, begins a transaction and reads all records of the file locator.
    pub(super) fn read_card(
        &mut self,
        profile: &TerminalProfile,
        terminal: &TerminalData,
    ) -> Result<CardData, Trouble> {
        let mut card = CardData::default();
        card.take(&self.select_application(profile)?)?;
        if let Ok(list) = card.needed(TAG_9F38_PDOL) {
            let list = Dol::parse(list).map_err(|_| Trouble::CardUnusable)?;
            card.told = terminal.fill(&list);
        }
        let mut template = Vec::new();
        put(&mut template, TAG_83_COMMAND_TEMPLATE, &card.told);
        let options = self.ask(&Command::get_processing_options(&template))?;
        card.take(&options)?;
        let joined = card.needed(TAG_80_RESPONSE_FORMAT_1).unwrap_or_default();
        if let Some((aip, locator)) = joined.split_at_checked(2) {
            let (aip, locator) = (aip.to_vec(), locator.to_vec());
            card.objects.insert(TAG_82_AIP, aip);
            card.objects.insert(TAG_94_AFL, locator);
        }
        let locator = card.needed(TAG_94_AFL)?;
        for entry in afl::parse(locator).ok_or(Trouble::CardUnusable)? {
            let covered = entry.first.saturating_add(entry.authenticated);
            for number in entry.first..=entry.last {
                let record = self.ask(&Command::read_record(number, entry.sfi))?;
                if number < covered {
                    card.cover(entry.sfi, &record)?;
                }
                card.take(&record)?;
            }
        }
        Ok(card)
    }

    /// Asks for the first cryptogram; with a key, inside a signature of that key (CDA).
    pub(super) fn first_ac(
        &mut self,
        card: &mut CardData,
        kind: CryptogramKind,
        terminal: &TerminalData,
        signed_by: Option<&RsaPublicKey>,
    ) -> Result<Cryptogram, Trouble> {
        let list = Dol::parse(card.needed(TAG_8C_CDOL1)?).map_err(|_| Trouble::CardUnusable)?;
        self.generate_ac(card, kind, &terminal.fill(&list), terminal, signed_by)
    }

    /// Asks for the second cryptogram, with what the host answered; with a key, as the first.
    pub(super) fn second_ac(
        &mut self,
        card: &mut CardData,
        kind: CryptogramKind,
        terminal: &TerminalData,
        response_code: [u8; 2],
        signed_by: Option<&RsaPublicKey>,
    ) -> Result<Cryptogram, Trouble> {
        let list = Dol::parse(card.needed(TAG_8D_CDOL2)?).map_err(|_| Trouble::CardUnusable)?;
        let mut values = terminal.values();
        values.insert(TAG_8A_AUTHORISATION_RESPONSE_CODE, response_code.to_vec());
        let values = list.fill(|tag| values.get(&tag).map(Vec::as_slice));
        self.generate_ac(card, kind, &values, terminal, signed_by)
    }

    /// A card that declines doesn't sign, and a terminal that declines doesn't ask it to (EMV Book 2 6.6.1).
    fn generate_ac(
        &mut self,
        card: &mut CardData,
        kind: CryptogramKind,
        values: &[u8],
        terminal: &TerminalData,
        signed_by: Option<&RsaPublicKey>,
    ) -> Result<Cryptogram, Trouble> {
        card.told.extend_from_slice(values);
        let Some(key) = signed_by.filter(|_| kind != CryptogramKind::Aac) else {
            return Cryptogram::read(&self.ask(&Command::generate_ac(kind, values))?);
        };
        let answer = self.ask(&Command::generate_ac_signed(kind, values))?;
        if !matches!(tlv::find(&answer, TAG_9F4B_SIGNED_DYNAMIC_DATA), Ok(Some(_))) {
            return Cryptogram::read(&answer).and_then(|cryptogram| match cryptogram.kind {
                CryptogramKind::Aac => Ok(cryptogram),
                CryptogramKind::Arqc | CryptogramKind::Tc => Err(Trouble::CardNotAuthentic),
            });
        }
        let cryptogram =
            Cryptogram::read_signed(&answer, key, terminal.unpredictable_number, card.told.clone())?;
        let passed = "the card is authentic (CDA)";
        self.trace.event(Party::Terminal, Party::Terminal, passed);
        Ok(cryptogram)
    }
}

impl Cryptogram {
    /// Reads an answer in format 2 (template 77) or 1 (tag 80: 9F27, 9F36, 9F26, 9F10 joined).
    fn read(answer: &[u8]) -> Result<Self, Trouble> {
        let mut told = CardData::default();
        told.take(answer)?;
        if let Ok(joined) = told.needed(TAG_80_RESPONSE_FORMAT_1) {
            let (&[cid, high, low], rest) = joined.split_first_chunk().ok_or(Trouble::CardUnusable)?;
            let (&ac, iad) = rest.split_first_chunk().ok_or(Trouble::CardUnusable)?;
            return Self::new(cid, [high, low], ac, iad);
        }
        let [cid] = told.exact(TAG_9F27_CID)?;
        let ac = told.exact(TAG_9F26_APPLICATION_CRYPTOGRAM)?;
        Self::new(cid, told.exact(TAG_9F36_ATC)?, ac, told.needed(TAG_9F10_IAD)?)
    }

    /// Reads an answer whose cryptogram is inside the signature (EMV Book 2, 6.6.2). `told`: values of PDOL and CDOLs.
    fn read_signed(
        answer: &[u8],
        key: &RsaPublicKey,
        unpredictable_number: [u8; 4],
        mut told: Vec<u8>,
    ) -> Result<Self, Trouble> {
        let mut card = CardData::default();
        card.take(answer)?;
        for (depth, object) in tlv::parse_nested(answer).map_err(|_| Trouble::CardUnusable)? {
            if depth == 1 && object.tag != TAG_9F4B_SIGNED_DYNAMIC_DATA {
                put(&mut told, object.tag, object.value);
            }
        }
        let ([cid], signature) = (
            card.exact(TAG_9F27_CID)?,
            card.needed(TAG_9F4B_SIGNED_DYNAMIC_DATA)?,
        );
        let signed = verify_signed_cryptogram(key, signature, unpredictable_number, cid, &told);
        let signed = signed.map_err(|_| Trouble::CardNotAuthentic)?;
        Self::new(
            cid,
            card.exact(TAG_9F36_ATC)?,
            signed.cryptogram,
            card.needed(TAG_9F10_IAD)?,
        )
    }

    fn new(cid: u8, atc: [u8; 2], ac: [u8; 8], iad: &[u8]) -> Result<Self, Trouble> {
        Ok(Self {
            kind: CryptogramKind::from_cid(cid).ok_or(Trouble::CardUnusable)?,
            cid,
            atc,
            ac,
            iad: iad.to_vec(),
        })
    }
}

impl CardData {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let objects = tlv::parse_nested(bytes).map_err(|_| Trouble::CardUnusable)?;
        for (_, object) in objects {
            self.objects.insert(object.tag, object.value.to_vec());
        }
        Ok(())
    }

    /// Adds a record to what the certificate covers.
    fn cover(&mut self, sfi: u8, record: &[u8]) -> Result<(), Trouble> {
        let content = match tlv::find(record, TAG_70_RECORD_TEMPLATE) {
            Ok(Some(content)) if sfi <= SFI_EMV_MAX => content,
            Ok(Some(_)) => record,
            Ok(None) | Err(_) => return Err(Trouble::CardUnusable),
        };
        self.authenticated.extend_from_slice(content);
        Ok(())
    }

    /// What the card's certificate covers: the records, then the interchange profile where its tag list wants it.
    pub(super) fn authenticated_data(&self) -> Result<Vec<u8>, Trouble> {
        let mut out = self.authenticated.clone();
        if self.needed(TAG_9F4A_SDA_TAG_LIST).is_ok() {
            out.extend_from_slice(self.needed(TAG_82_AIP)?);
        }
        Ok(out)
    }

    /// The first byte of tag 82.
    pub(super) fn interchange_profile(&self) -> Result<u8, Trouble> {
        self.exact(TAG_82_AIP).map(|[first, _]| first)
    }

    pub(super) fn needed(&self, tag: Tag) -> Result<&[u8], Trouble> {
        self.objects
            .get(&tag)
            .map(Vec::as_slice)
            .ok_or(Trouble::CardUnusable)
    }

    fn exact<const LEN: usize>(&self, tag: Tag) -> Result<[u8; LEN], Trouble> {
        self.needed(tag)?.try_into().map_err(|_| Trouble::CardUnusable)
    }

    /// Digits of a BCD value, fill cut off.
    fn digits(&self, tag: Tag) -> Result<String, Trouble> {
        let digits = data_encoding::HEXUPPER.encode(self.needed(tag)?);
        Ok(digits.trim_end_matches('F').to_owned())
    }

    /// The account's fields of a request: DE2, DE14, DE23, and DE35 where the whole track 2 may travel.
    pub(super) fn put_account(&self, request: &mut Message) -> Result<(), Trouble> {
        let expiry = self.digits(TAG_5F24_EXPIRATION_DATE)?;
        request.put(2, self.digits(TAG_5A_PAN)?);
        request.put(14, expiry.get(..4).ok_or(Trouble::CardUnusable)?);
        if let Ok([psn]) = self.exact(TAG_5F34_PSN) {
            request.put(23, format!("0{psn:02X}"));
        }
        request.put(35, self.digits(TAG_57_TRACK_2)?);
        Ok(())
    }

    /// Whether it takes issuer authentication data by EXTERNAL AUTHENTICATE; else with the second cryptogram.
    pub(super) fn takes_external_authenticate(&self) -> Result<bool, Trouble> {
        const AIP_ISSUER_AUTHENTICATION: u8 = 0x04;
        Ok(self.interchange_profile()? & AIP_ISSUER_AUTHENTICATION != 0)
    }

    /// The account number, for a PIN block.
    pub(super) fn pan(&self) -> Result<cards::Pan, Trouble> {
        cards::Pan::parse(&self.digits(TAG_5A_PAN)?).map_err(|_| Trouble::CardUnusable)
    }

    /// DE55 of a request.
    pub(super) fn chip_data(
        &self,
        terminal: &TerminalData,
        cryptogram: &Cryptogram,
        profile: &TerminalProfile,
        entry_mode: u8,
    ) -> Result<Vec<u8>, Trouble> {
        let psn = self.exact(TAG_5F34_PSN).map(|[psn]| psn).ok();
        let field_55 = Field55 {
            cryptogram: cryptogram.ac,
            cid: cryptogram.cid,
            iad: &cryptogram.iad,
            unpredictable_number: terminal.unpredictable_number,
            atc: cryptogram.atc,
            tvr: terminal.tvr,
            date: terminal.date,
            transaction_type: terminal.transaction_type,
            amount: bcd(terminal.amount),
            amount_other: [0; 6],
            currency: terminal.currency,
            aip: self.exact(TAG_82_AIP)?,
            terminal_country: terminal.country,
            cvm_results: Some(terminal.cvm_results),
            terminal_type: Some(profile.type_code()),
            psn,
            entry_mode: Some(entry_mode),
            script_results: None,
            pan: None,
            track_2: None,
        };
        let mut bytes = field_55.to_bytes();
        put(&mut bytes, TAG_84_DF_NAME, self.needed(TAG_84_DF_NAME)?);
        put(
            &mut bytes,
            TAG_9F33_TERMINAL_CAPABILITIES,
            &profile.capabilities(),
        );
        Ok(bytes)
    }
}
