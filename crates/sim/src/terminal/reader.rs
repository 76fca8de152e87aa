//! A card in a terminal's reader or field: selecting its application, reading it, asking for cryptograms.

use std::collections::BTreeMap;

use emv::afl;
use emv::apdu::{Command, Response, SW_9000_OK, StatusWord};
use emv::bits::Tvr;
use emv::cvm::CvmResults;
use emv::dol::Dol;
use emv::field55::{CryptogramKind, Field55};
use emv::tags::{
    TAG_4F_ADF_NAME, TAG_5A_PAN, TAG_5F2A_TRANSACTION_CURRENCY, TAG_5F24_EXPIRATION_DATE, TAG_5F34_PSN,
    TAG_8A_AUTHORISATION_RESPONSE_CODE, TAG_8C_CDOL1, TAG_8D_CDOL2, TAG_9A_TRANSACTION_DATE,
    TAG_9C_TRANSACTION_TYPE, TAG_9F1A_TERMINAL_COUNTRY, TAG_9F02_AMOUNT_AUTHORISED, TAG_9F03_AMOUNT_OTHER,
    TAG_9F10_IAD, TAG_9F26_APPLICATION_CRYPTOGRAM, TAG_9F27_CID, TAG_9F33_TERMINAL_CAPABILITIES,
    TAG_9F36_ATC, TAG_9F37_UNPREDICTABLE_NUMBER, TAG_57_TRACK_2, TAG_82_AIP, TAG_84_DF_NAME,
    TAG_91_ISSUER_AUTHENTICATION_DATA, TAG_94_AFL, TAG_95_TVR,
};
use emv::tlv::{self, Tag, put};

use super::merchant::Merchant;
use super::trace::Trace;
use crate::acquirer::message::Message;
use crate::card::chip::{Chip, Interface};
use crate::card::perso::AID_PINWARD;
use crate::card::records::{NAME_PPSE, bcd};
use crate::card::tear::Tear;

/// Why a card can't be used further in this transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CardTrouble {
    /// It was pulled out.
    Removed,
    /// An answer isn't what EMV asks for.
    Unusable,
    /// It has no application that this terminal knows.
    NotAccepted,
}

/// A card with power.
pub(super) struct CardReader<'c> {
    chip: &'c mut Chip,
    interface: Interface,
    pub(super) trace: Trace,
}

/// What the card told about itself.
#[derive(Default)]
pub(super) struct CardData {
    objects: BTreeMap<Tag, Vec<u8>>,
}

/// What the terminal puts into a cryptogram.
pub(super) struct TerminalData {
    pub(super) amount: u64,
    pub(super) transaction_type: u8,
    pub(super) tvr: Tvr,
    pub(super) cvm_results: CvmResults,
    /// Tag 91 of the host's answer, for a card that takes it with the second cryptogram; empty before.
    pub(super) issuer_authentication: Vec<u8>,
    date: [u8; 3],
    country: [u8; 2],
    currency: [u8; 2],
    unpredictable_number: [u8; 4],
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
    pub(super) fn insert(chip: &'c mut Chip, interface: Interface) -> Self {
        chip.power_on(interface);
        Self {
            chip,
            interface,
            trace: Trace::default(),
        }
    }

    /// Orders a cut of the card's power.
    pub(super) fn tear(&mut self, tear: Tear) {
        self.chip.tear(tear);
    }

    /// Cuts the card's power.
    pub(super) fn remove(&mut self) {
        self.chip.power_off();
    }

    /// Sends a command; gives the data and the status.
    pub(super) fn send(&mut self, command: &Command<'_>) -> Result<(Vec<u8>, StatusWord), CardTrouble> {
        let bytes = command.to_bytes().map_err(|_| CardTrouble::Unusable)?;
        self.trace.command(command, &bytes);
        let answer = self.chip.transmit(&bytes);
        let response = Response::parse(&answer).map_err(|_| CardTrouble::Removed)?;
        self.trace.response(command, &response);
        Ok((response.data.to_vec(), response.status))
    }

    /// Sends a command that has to succeed.
    fn ask(&mut self, command: &Command<'_>) -> Result<Vec<u8>, CardTrouble> {
        match self.send(command)? {
            (data, SW_9000_OK) => Ok(data),
            _ => Err(CardTrouble::Unusable),
        }
    }

    /// Selects the application, begins a transaction and reads all records of the file locator.
    pub(super) fn read_card(&mut self) -> Result<CardData, CardTrouble> {
        let name = match self.interface {
            Interface::Contact => AID_PINWARD.to_vec(),
            Interface::Contactless => {
                let directory = self.ask(&Command::select(NAME_PPSE))?;
                let name = tlv::find(&directory, TAG_4F_ADF_NAME).ok().flatten();
                let known = name.filter(|name| **name == AID_PINWARD);
                known.ok_or(CardTrouble::NotAccepted)?.to_vec()
            }
        };
        let mut card = CardData::default();
        let (selected, SW_9000_OK) = self.send(&Command::select(&name))? else {
            return Err(CardTrouble::NotAccepted);
        };
        card.take(&selected)?;
        let options = self.ask(&Command::get_processing_options(&[0x83, 0x00]))?;
        card.take(&options)?;
        let locator = card.needed(TAG_94_AFL)?;
        for entry in afl::parse(locator).ok_or(CardTrouble::Unusable)? {
            for number in entry.first..=entry.last {
                let record = self.ask(&Command::read_record(number, entry.sfi))?;
                card.take(&record)?;
            }
        }
        Ok(card)
    }

    /// Asks for the first cryptogram.
    pub(super) fn first_ac(
        &mut self,
        card: &CardData,
        kind: CryptogramKind,
        terminal: &TerminalData,
    ) -> Result<Cryptogram, CardTrouble> {
        self.generate_ac(card, TAG_8C_CDOL1, kind, terminal, None)
    }

    /// Asks for the second cryptogram, with what the host answered.
    pub(super) fn second_ac(
        &mut self,
        card: &CardData,
        kind: CryptogramKind,
        terminal: &TerminalData,
        response_code: [u8; 2],
    ) -> Result<Cryptogram, CardTrouble> {
        self.generate_ac(card, TAG_8D_CDOL2, kind, terminal, Some(response_code))
    }

    fn generate_ac(
        &mut self,
        card: &CardData,
        list: Tag,
        kind: CryptogramKind,
        terminal: &TerminalData,
        response_code: Option<[u8; 2]>,
    ) -> Result<Cryptogram, CardTrouble> {
        let list = Dol::parse(card.needed(list)?).map_err(|_| CardTrouble::Unusable)?;
        let mut values = terminal.values();
        if let Some(response_code) = response_code {
            values.insert(TAG_8A_AUTHORISATION_RESPONSE_CODE, response_code.to_vec());
        }
        let values = list.fill(|tag| values.get(&tag).map(Vec::as_slice));
        let mut answer = CardData::default();
        answer.take(&self.ask(&Command::generate_ac(kind, &values))?)?;
        let [cid] = answer.exact(TAG_9F27_CID)?;
        Ok(Cryptogram {
            kind: CryptogramKind::from_cid(cid).ok_or(CardTrouble::Unusable)?,
            cid,
            atc: answer.exact(TAG_9F36_ATC)?,
            ac: answer.exact(TAG_9F26_APPLICATION_CRYPTOGRAM)?,
            iad: answer.needed(TAG_9F10_IAD)?.to_vec(),
        })
    }
}

impl CardData {
    fn take(&mut self, bytes: &[u8]) -> Result<(), CardTrouble> {
        let objects = tlv::parse_nested(bytes).map_err(|_| CardTrouble::Unusable)?;
        for (_, object) in objects {
            self.objects.insert(object.tag, object.value.to_vec());
        }
        Ok(())
    }

    pub(super) fn needed(&self, tag: Tag) -> Result<&[u8], CardTrouble> {
        self.objects
            .get(&tag)
            .map(Vec::as_slice)
            .ok_or(CardTrouble::Unusable)
    }

    fn exact<const LEN: usize>(&self, tag: Tag) -> Result<[u8; LEN], CardTrouble> {
        self.needed(tag)?.try_into().map_err(|_| CardTrouble::Unusable)
    }

    /// Digits of a BCD value, fill cut off.
    fn digits(&self, tag: Tag) -> Result<String, CardTrouble> {
        let digits = data_encoding::HEXUPPER.encode(self.needed(tag)?);
        Ok(digits.trim_end_matches('F').to_owned())
    }

    /// The account's fields of a request: DE2, DE14, DE23, and DE35 where the whole track 2 may travel.
    pub(super) fn put_account(&self, request: &mut Message) -> Result<(), CardTrouble> {
        let [psn] = self.exact(TAG_5F34_PSN)?;
        let expiry = self.digits(TAG_5F24_EXPIRATION_DATE)?;
        request.put(2, self.digits(TAG_5A_PAN)?);
        request.put(14, expiry.get(..4).ok_or(CardTrouble::Unusable)?);
        request.put(23, format!("0{psn:02X}"));
        request.put(35, self.digits(TAG_57_TRACK_2)?);
        Ok(())
    }

    /// Whether it takes issuer authentication data by EXTERNAL AUTHENTICATE; else with the second cryptogram.
    pub(super) fn takes_external_authenticate(&self) -> Result<bool, CardTrouble> {
        const AIP_ISSUER_AUTHENTICATION: u8 = 0x04;
        let [first, _] = self.exact(TAG_82_AIP)?;
        Ok(first & AIP_ISSUER_AUTHENTICATION != 0)
    }

    /// The account number, for a PIN block.
    pub(super) fn pan(&self) -> Result<cards::Pan, CardTrouble> {
        cards::Pan::parse(&self.digits(TAG_5A_PAN)?).map_err(|_| CardTrouble::Unusable)
    }

    /// DE55 of a request.
    pub(super) fn chip_data(
        &self,
        terminal: &TerminalData,
        cryptogram: &Cryptogram,
        merchant: &Merchant,
        entry_mode: u8,
    ) -> Result<Vec<u8>, CardTrouble> {
        let [psn] = self.exact(TAG_5F34_PSN)?;
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
            terminal_type: Some(merchant.terminal_type),
            psn: Some(psn),
            entry_mode: Some(entry_mode),
            script_results: None,
        };
        let mut bytes = field_55.to_bytes();
        put(&mut bytes, TAG_84_DF_NAME, self.needed(TAG_84_DF_NAME)?);
        put(
            &mut bytes,
            TAG_9F33_TERMINAL_CAPABILITIES,
            &merchant.capabilities(),
        );
        Ok(bytes)
    }
}

impl TerminalData {
    /// What a terminal knows before it looks at the card. It never authenticates a card offline and has no floor limit.
    pub(super) fn new(
        merchant: &Merchant,
        amount: u64,
        transaction_type: u8,
        tvr: Tvr,
        cvm_results: CvmResults,
    ) -> Self {
        let today = jiff::Zoned::now();
        let date = [
            today.year().rem_euclid(100),
            i16::from(today.month()),
            i16::from(today.day()),
        ];
        Self {
            amount,
            transaction_type,
            tvr,
            cvm_results,
            issuer_authentication: Vec::new(),
            date: date.map(|part| {
                let [byte] = bcd::<1>(u64::from(part.unsigned_abs()));
                byte
            }),
            country: bcd(merchant.country.into()),
            currency: bcd(merchant.currency.into()),
            unpredictable_number: getrandom::u32()
                .expect("the system gives random numbers")
                .to_be_bytes(),
        }
    }

    fn values(&self) -> BTreeMap<Tag, Vec<u8>> {
        BTreeMap::from([
            (TAG_9F02_AMOUNT_AUTHORISED, bcd::<6>(self.amount).to_vec()),
            (TAG_9F03_AMOUNT_OTHER, vec![0; 6]),
            (TAG_9F1A_TERMINAL_COUNTRY, self.country.to_vec()),
            (TAG_95_TVR, self.tvr.0.to_vec()),
            (TAG_5F2A_TRANSACTION_CURRENCY, self.currency.to_vec()),
            (TAG_9A_TRANSACTION_DATE, self.date.to_vec()),
            (TAG_9C_TRANSACTION_TYPE, vec![self.transaction_type]),
            (TAG_9F37_UNPREDICTABLE_NUMBER, self.unpredictable_number.to_vec()),
            (
                TAG_91_ISSUER_AUTHENTICATION_DATA,
                self.issuer_authentication.clone(),
            ),
        ])
    }
}
