//! `check` of 128 online PINs, each with its cryptogram: in this process, and over the socket of an HSM that serves in a
//! thread. Divide by 128 for one item; criterion prints the rate per item.

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::thread;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hsm::{CheckRequest, PaymentHsm, RemoteHsm, ServeOptions, SoftwareHsm};
use support::{EmptyJournal, NOW, PAN, World, card, cryptogram, equip, iso0, seal_pin};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const BATCH: usize = 128;

async fn batch(hsm: &impl PaymentHsm) -> Vec<CheckRequest> {
    let sealed = seal_pin(hsm, PAN, "1234").await;
    let request = CheckRequest {
        card: card(hsm, PAN, cards::PinReference::Sealed(sealed)).await,
        cryptogram: Some(cryptogram(PAN, 5)),
        pin: Some(iso0(PAN, "1234")),
        new_pin: None,
    };
    vec![request; BATCH]
}

fn bench(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let mut group = c.benchmark_group("check");
    group.throughput(Throughput::Elements(128));

    let world = runtime.block_on(World::new());
    let requests = runtime.block_on(batch(&world.hsm));
    group.bench_function("in process", |b| {
        b.iter(|| runtime.block_on(world.hsm.check(black_box(requests.clone()))));
    });

    let directory = TempDir::new().expect("a temporary directory");
    let hsm = SoftwareHsm::open(directory.path()).expect("a new key store opens");
    runtime.block_on(equip(&hsm, &directory));
    hsm.provision(NOW).expect("keys are made");
    drop(hsm);
    let socket = directory.path().join("hsm.sock");
    let options = ServeOptions {
        directory: directory.path().to_path_buf(),
        socket: socket.clone(),
        stop_when_stdin_closes: false,
    };
    thread::spawn(move || hsm::serve(&options));
    let remote = loop {
        match runtime.block_on(RemoteHsm::connect_with(&socket, Arc::new(EmptyJournal))) {
            Ok(remote) => break remote,
            Err(_) => thread::yield_now(),
        }
    };
    let requests = runtime.block_on(batch(&remote));
    group.bench_function("over the socket", |b| {
        b.iter(|| runtime.block_on(remote.check(black_box(requests.clone()))));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
