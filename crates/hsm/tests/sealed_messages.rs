//! Messages sealed for the store: only this HSM opens them, and only as they were.

mod support;

use cards::Pan;
use hsm::{ClearMessage, PaymentHsm};
use support::{PAN, World};

const TEXT: &[u8] = b"0420 about 4761739001010119";

fn message() -> ClearMessage {
    ClearMessage::new(TEXT.to_vec())
}

#[tokio::test]
async fn a_sealed_message_opens_as_it_was_and_shows_nothing_of_itself() {
    let world = World::new().await;
    let sealed = world.hsm.seal_messages(vec![message(), message()]).await.unwrap();
    assert_ne!(sealed[0], sealed[1], "a nonce of its own");
    for one in &sealed {
        assert_eq!(one.len(), TEXT.len() + 28);
        assert!(!one.windows(8).any(|bytes| bytes == &TEXT[11..19]));
    }
    let opened = world.hsm.open_messages(sealed).await.unwrap();
    assert_eq!(opened, [Some(message()), Some(message())]);
    assert!(!format!("{opened:?}").contains("4761"));
}

#[tokio::test]
async fn nothing_opens_that_was_changed_at_any_byte_cut_or_made_elsewhere() {
    let (world, other) = (World::new().await, World::new().await);
    let sealed = world.hsm.seal_messages(vec![message()]).await.unwrap().remove(0);
    let changed = (0..sealed.len()).map(|at| {
        let mut bytes = sealed.clone();
        bytes[at] ^= 1;
        bytes
    });
    let cut = (0..sealed.len()).map(|len| sealed[..len].to_vec());
    let pan = Pan::parse(PAN).unwrap();
    let sealed_pan = world.hsm.seal_pans(vec![pan]).await.unwrap()[0].0.to_vec();
    let elsewhere = other.hsm.seal_messages(vec![message()]).await.unwrap();
    let bad: Vec<Vec<u8>> = changed.chain(cut).chain([sealed_pan]).chain(elsewhere).collect();
    let opened = world.hsm.open_messages(bad).await.unwrap();
    assert!(opened.iter().all(Option::is_none));
}
