//! A tiny issuer host on a loopback port: checks cryptograms, answers as it is told, keeps what it got.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use emv::field55::Field55;
use emv::tags::{
    TAG_71_SCRIPT_BEFORE_FINAL_AC, TAG_72_SCRIPT_AFTER_FINAL_AC, TAG_86_SCRIPT_COMMAND,
    TAG_91_ISSUER_AUTHENTICATION_DATA,
};
use emv::tlv::{self, Tag};
use iso8583::dialect::Dialect;
use iso8583::framing::{FrameReader, Framing};
use iso8583::mti::Mti;
use paycrypto::aes_key::AesKey;
use paycrypto::cryptogram::AcInput;
use paycrypto::tdes_key::Tdes2Key;
use sim::acquirer::Acquirer;
use sim::acquirer::message::Message;
use sim::acquirer::zone_key::ZoneKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::issuer::{CSU_APPROVE, CSU_DECLINE, arqc_is_right, authentication, change_script, unblock_script};

pub(crate) const ZONE_KEY_TDES: [u8; 16] = [0x23; 16];
pub(crate) const ZONE_KEY_AES: [u8; 16] = [0x42; 16];

/// What the host does with the next requests.
#[derive(Clone, Default)]
pub(crate) struct Orders {
    /// DE39; approved where there is none.
    pub(crate) code: Option<&'static str>,
    pub(crate) script: Option<Script>,
    pub(crate) balance: Option<&'static str>,
    /// Closes the connection instead of answering a request (a reversal is answered).
    pub(crate) mute: bool,
    /// Closes the connection so many times instead of answering a reversal.
    pub(crate) mute_reversals: usize,
    /// Answers without tag 91.
    pub(crate) no_authentication: bool,
}

#[derive(Clone)]
pub(crate) enum Script {
    Change(&'static str),
    ChangeBefore(&'static str),
    Unblock,
    Replayed(Vec<u8>),
}

#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    dialect: Arc<Dialect>,
    orders: Arc<Mutex<Orders>>,
    got: Arc<Mutex<Vec<Message>>>,
}

impl Host {
    pub(crate) async fn start(dialect: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self {
            address: listener.local_addr().unwrap(),
            dialect: Arc::new(Dialect::named(dialect).unwrap()),
            orders: Arc::default(),
            got: Arc::default(),
        };
        let server = host.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                server.serve(stream).await;
            }
        });
        host
    }

    pub(crate) fn acquirer(&self) -> Acquirer {
        let zone_key = match self.dialect.name() {
            "ascii-1987" => ZoneKey::Tdes(Tdes2Key::from_bytes(&ZONE_KEY_TDES)),
            _ => ZoneKey::Aes(AesKey::from_bytes(&ZONE_KEY_AES).unwrap()),
        };
        let dialect = (*self.dialect).clone();
        Acquirer::new(self.address.to_string(), dialect, "12345".to_owned(), zone_key).unwrap()
    }

    /// The same host where nobody listens.
    pub(crate) fn moved_to(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    pub(crate) fn order(&self, orders: Orders) {
        *self.orders.lock().unwrap() = orders;
    }

    /// Takes what came since the last time.
    pub(crate) fn got(&self) -> Vec<Message> {
        std::mem::take(&mut *self.got.lock().unwrap())
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut reader = FrameReader::new(Framing::Binary2);
        let mut bytes = [0; 4096];
        loop {
            let len = stream.read(&mut bytes).await.unwrap_or(0);
            if len == 0 {
                return;
            }
            reader.push(&bytes[..len]);
            while let Some(frame) = reader.next_frame().unwrap() {
                let request = Message::parse(frame, &self.dialect).unwrap();
                let answer = self.answer(&request);
                self.got.lock().unwrap().push(request);
                let Some(answer) = answer else { return };
                let mut out = Vec::new();
                let frame = answer.to_frame(&self.dialect).unwrap();
                Framing::Binary2
                    .append(&mut out, |body| body.extend(frame))
                    .unwrap();
                stream.write_all(&out).await.unwrap();
            }
        }
    }

    fn answer(&self, request: &Message) -> Option<Message> {
        let is_reversal = request.mti.digits()[1] == b'4';
        let orders = {
            let mut orders = self.orders.lock().unwrap();
            if is_reversal && orders.mute_reversals > 0 {
                orders.mute_reversals -= 1;
                return None;
            }
            orders.clone()
        };
        let mut answer = Message::new(request.mti.response().unwrap());
        for field in [2, 3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49, 70] {
            if let Some(value) = request.field(field) {
                answer.put(field, value);
            }
        }
        let is_request = matches!(&request.mti.digits(), b"0100" | b"0200");
        if is_request && orders.mute {
            return None;
        }
        let code = orders.code.filter(|_| is_request).unwrap_or("00");
        answer.put(39, code);
        if is_request && code == "00" {
            answer.put(38, "123456");
        }
        if let Some(balance) = orders.balance {
            answer.put(54, balance);
        }
        if let Some(chip_data) = request.field(55).filter(|_| is_request) {
            answer.put(55, chip_answer(chip_data, &orders, code == "00"));
        }
        Some(answer)
    }
}

fn chip_answer(chip_data: &[u8], orders: &Orders, approved: bool) -> Vec<u8> {
    let field = Field55::parse(chip_data).unwrap();
    let atc = u16::from_be_bytes(field.atc);
    let input = AcInput {
        amount: field.amount,
        amount_other: field.amount_other,
        terminal_country: field.terminal_country,
        tvr: field.tvr.0,
        currency: field.currency,
        date: field.date,
        transaction_type: field.transaction_type,
        unpredictable_number: field.unpredictable_number,
        aip: field.aip,
        atc,
        iad: field.iad,
    };
    assert!(arqc_is_right(&input, field.cryptogram));
    let mut out = Vec::new();
    let csu = if approved { CSU_APPROVE } else { CSU_DECLINE };
    if !orders.no_authentication {
        let data = authentication(atc, field.cryptogram, csu);
        tlv::put(&mut out, TAG_91_ISSUER_AUTHENTICATION_DATA, &data);
    }
    let (tag, command) = match &orders.script {
        None => return out,
        Some(Script::Change(new)) => (
            TAG_72_SCRIPT_AFTER_FINAL_AC,
            change_script(atc, field.cryptogram, new),
        ),
        Some(Script::ChangeBefore(new)) => (
            TAG_71_SCRIPT_BEFORE_FINAL_AC,
            change_script(atc, field.cryptogram, new),
        ),
        Some(Script::Unblock) => (
            TAG_72_SCRIPT_AFTER_FINAL_AC,
            unblock_script(atc, field.cryptogram),
        ),
        Some(Script::Replayed(command)) => (TAG_72_SCRIPT_AFTER_FINAL_AC, command.clone()),
    };
    put_script(&mut out, tag, &command);
    out
}

fn put_script(out: &mut Vec<u8>, tag: Tag, command: &[u8]) {
    tlv::put_template(out, tag, |script| {
        tlv::put(script, TAG_86_SCRIPT_COMMAND, command)
    });
}

/// A message type.
pub(crate) fn mti(digits: &str) -> Mti {
    Mti::parse(digits.as_bytes()).unwrap()
}
