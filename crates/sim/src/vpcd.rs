//! The card in a virtual reader: the client side of the vpcd protocol of vsmartcard, so that any PC/SC program can use it.
//!
//! Over TCP, the reader speaks and the card answers. A message is a length of 2 bytes, big-endian, then the bytes.
//!
//! | length | bytes | meaning | answer |
//! |---|---|---|---|
//! | 1 | `00` | power off | none |
//! | 1 | `01` | power on | none |
//! | 1 | `02` | reset | none |
//! | 1 | `04` | what is your ATR? | ATR |
//! | 1 | other | nothing that vpcd sends | none |
//! | other | a command APDU | | response APDU |
//!
//! The card is at its contacts. One connection is one reader, until it closes.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::card::chip::{ATR, Chip, Interface};

const CONTROL_00_OFF: u8 = 0x00;
const CONTROL_01_ON: u8 = 0x01;
const CONTROL_02_RESET: u8 = 0x02;
const CONTROL_04_ATR: u8 = 0x04;

/// Puts the card into the reader at `HOST:PORT`, and serves it until the reader closes the connection.
///
/// The card's power is cut at the end, however that comes.
pub async fn serve(chip: &mut Chip, reader: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(reader).await?;
    let served = serve_messages(chip, &mut stream).await;
    chip.power_off();
    match served {
        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        other => other,
    }
}

async fn serve_messages(chip: &mut Chip, stream: &mut TcpStream) -> io::Result<()> {
    let mut message = Vec::new();
    loop {
        let len = stream.read_u16().await?;
        message.resize(usize::from(len), 0);
        stream.read_exact(&mut message).await?;
        let answer = match message.as_slice() {
            [CONTROL_00_OFF] => {
                chip.power_off();
                continue;
            }
            [CONTROL_01_ON | CONTROL_02_RESET] => {
                chip.power_on(Interface::Contact);
                continue;
            }
            [CONTROL_04_ATR] => ATR.to_vec(),
            [_] | [] => continue,
            apdu => chip.transmit(apdu),
        };
        let len = u16::try_from(answer.len()).expect("a response has at most 258 bytes");
        stream
            .write_all(&[&len.to_be_bytes()[..], &answer].concat())
            .await?;
    }
}
