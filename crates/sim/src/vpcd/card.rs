//! The card in a virtual reader, so that any PC/SC program can use it.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{CONTROL_00_OFF, CONTROL_01_ON, CONTROL_02_RESET, CONTROL_04_ATR};
use crate::card::chip::{ATR, Chip, Interface};

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
