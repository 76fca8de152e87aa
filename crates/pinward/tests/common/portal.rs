//! A cardmember at the portal: plain HTTP/1.1, and a device that seals and opens PINs.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use cards::CardRef;
use data_encoding::HEXLOWER;
use paycrypto::pin::Pin;
use serde_json::{Value, json};
use sim::device::{Envelope, Offer, Role};

use super::{PASSWORD, USER_ID};

/// How long the desk may take for one answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// A signed-in browser, on one connection.
pub(crate) struct Portal {
    stream: BufReader<TcpStream>,
    cookie: String,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Portal {
    pub(crate) fn sign_in(web: SocketAddr) -> Self {
        let stream = TcpStream::connect(web).unwrap();
        stream.set_read_timeout(Some(ANSWER_PATIENCE)).unwrap();
        let mut portal = Self {
            stream: BufReader::new(stream),
            cookie: String::new(),
        };
        let form = format!("user_id={USER_ID}&password={}", PASSWORD.replace(' ', "+"));
        assert_eq!(portal.post("/sign-in", FORM, &form).status, 303);
        assert!(!portal.cookie.is_empty(), "a session's cookie");
        portal
    }

    /// Changes a card's PIN; gives the envelope's nonce.
    pub(crate) fn change_pin(&mut self, card: CardRef, current: &str, new: &str) -> [u8; 16] {
        let (sealed, nonce) = self.sealed_change(card, current, new);
        self.ask(&format!("/cards/{card}/pin/change"), &sealed);
        nonce
    }

    /// Tries to change a card's PIN; gives the answer's status, and the code of a refusal.
    pub(crate) fn try_to_change_pin(&mut self, card: CardRef, current: &str, new: &str) -> (u16, String) {
        let (sealed, _) = self.sealed_change(card, current, new);
        self.send_change(card, &sealed)
    }

    /// Sends a change that was sealed before; gives the answer's status, and the code of a refusal.
    pub(crate) fn send_change(&mut self, card: CardRef, sealed: &Value) -> (u16, String) {
        let path = format!("/cards/{card}/pin/change");
        let answer = self.post(&path, "application/json", &sealed.to_string());
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        let code = told["error"]["code"].as_str().unwrap_or_default();
        (answer.status, code.to_owned())
    }

    /// A page: its status and text.
    pub(crate) fn page(&mut self, path: &str) -> (u16, String) {
        let cookie = &self.cookie;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let answer = self.read_answer();
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    /// Both PINs of a change, sealed in a new envelope, and its nonce.
    pub(crate) fn sealed_change(&mut self, card: CardRef, current: &str, new: &str) -> (Value, [u8; 16]) {
        let (envelope, nonce) = self.open_envelope(card, "change_pin");
        let seal = |role, pin| HEXLOWER.encode(&envelope.seal(role, &Pin::parse(pin).unwrap()));
        let sealed = json!({
            "nonce": HEXLOWER.encode(&nonce),
            "device_public": HEXLOWER.encode(envelope.device_public()),
            "current_pin": seal(Role::Current, current),
            "new_pin": seal(Role::New, new),
        });
        (sealed, nonce)
    }

    /// Steps up and has a card's PIN shown; whether it is this one.
    pub(crate) fn sees_pin(&mut self, card: CardRef, pin: &str) -> bool {
        let form = format!(
            "card={card}&operation=view_pin&password={}",
            PASSWORD.replace(' ', "+")
        );
        assert_eq!(self.post("/step-up", FORM, &form).status, 303);
        let (envelope, nonce) = self.open_envelope(card, "view_pin");
        let sealed = json!({
            "nonce": HEXLOWER.encode(&nonce),
            "device_public": HEXLOWER.encode(envelope.device_public()),
        });
        let revealed = self.ask(&format!("/cards/{card}/pin/view"), &sealed);
        let block = bytes(&revealed["block"]).try_into().unwrap();
        envelope.open_revealed(block).unwrap() == Pin::parse(pin).unwrap()
    }

    fn open_envelope(&mut self, card: CardRef, operation: &str) -> (Envelope, [u8; 16]) {
        let offer = self.ask(
            &format!("/cards/{card}/pin/envelope"),
            &json!({ "operation": operation }),
        );
        let nonce = bytes(&offer["nonce"]).try_into().unwrap();
        let envelope = Envelope::open(&Offer {
            nonce,
            operation,
            account: offer["account"].as_str().unwrap(),
            expires_ms: offer["expires_ms"].as_i64().unwrap(),
            hsm_public: &bytes(&offer["hsm_public"]),
            signature: &bytes(&offer["signature"]),
        });
        (envelope.unwrap(), nonce)
    }

    fn ask(&mut self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, "application/json", &body.to_string());
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!(answer.status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    fn post(&mut self, path: &str, content_type: &str, body: &str) -> Answer {
        let (cookie, len) = (&self.cookie, body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\nAccept: application/json\r\n\
             Cookie: {cookie}\r\nContent-Type: {content_type}\r\nContent-Length: {len}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        self.read_answer()
    }

    /// Keeps the cookie that comes with it, as browsers do.
    fn read_answer(&mut self) -> Answer {
        let status = self.line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut len = 0;
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            match name {
                "set-cookie" => self.cookie = value.split(';').next().unwrap().to_owned(),
                "content-length" => len = value.parse().unwrap(),
                _ => {}
            }
        }
        let mut body = vec![0; len];
        self.stream.read_exact(&mut body).unwrap();
        Answer { status, body }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn bytes(hex: &Value) -> Vec<u8> {
    HEXLOWER.decode(hex.as_str().unwrap().as_bytes()).unwrap()
}
