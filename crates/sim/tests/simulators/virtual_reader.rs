//! The card in a reader of vsmartcard's vpcd protocol, played by the test.

use sim::card::chip::ATR;
use sim::vpcd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::issuer::new_card;

async fn tell(reader: &mut TcpStream, message: &[u8]) {
    let len = u16::try_from(message.len()).unwrap();
    reader.write_u16(len).await.unwrap();
    reader.write_all(message).await.unwrap();
}

async fn ask(reader: &mut TcpStream, message: &[u8]) -> Vec<u8> {
    tell(reader, message).await;
    let len = reader.read_u16().await.unwrap();
    let mut answer = vec![0; usize::from(len)];
    reader.read_exact(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_reader_powers_the_card_asks_its_atr_and_sends_commands() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let card = tokio::spawn(async move {
        let folder = new_card(Some("1234"));
        let mut chip = folder.chip();
        vpcd::card::serve(&mut chip, &address).await
    });
    let (mut reader, _) = listener.accept().await.unwrap();
    assert_eq!(ask(&mut reader, &[4]).await, ATR);
    tell(&mut reader, &[1]).await;
    let select = b"\x00\xA4\x04\x00\x08\xF0PINWARD\x00";
    assert!(ask(&mut reader, select).await.ends_with(&[0x90, 0x00]));
    let options = [0x80, 0xA8, 0, 0, 2, 0x83, 0, 0];
    assert!(ask(&mut reader, &options).await.ends_with(&[0x90, 0x00]));
    tell(&mut reader, &[2]).await;
    let counter = [0x80, 0xCA, 0x9F, 0x36, 0x00];
    assert_eq!(ask(&mut reader, &counter).await, [0x69, 0x85]);
    tell(&mut reader, &[0]).await;
    assert!(ask(&mut reader, select).await.is_empty());
    drop(reader);
    card.await.unwrap().unwrap();
}
