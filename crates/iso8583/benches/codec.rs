//! Time to read and to build a typical authorisation request: 398 bytes, 13 fields, chip data included.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use iso8583::build::MessageBuilder;
use iso8583::dialect::Dialect;
use iso8583::message::Message;

fn codec(bench: &mut Criterion) {
    let dialect = Dialect::named("ascii-1987").expect("comes with the crate");
    let sample = common::authorisation_request();
    let request = Message::parse(&sample.frame, &dialect).expect("well-formed");
    bench.bench_function("parse 0100", |bench| {
        bench.iter(|| {
            Message::parse(black_box(&sample.frame), &dialect).map(|message| message.field(55).is_some())
        });
    });
    let mut builder = MessageBuilder::new(&dialect, request.mti());
    let mut out = Vec::new();
    bench.bench_function("build 0100", |bench| {
        bench.iter(|| {
            builder.reset(request.mti());
            for (field, value) in black_box(&sample.fields) {
                builder.set(*field, value).expect("the value fits");
            }
            out.clear();
            builder.write_to(&mut out);
            out.len()
        });
    });
}

criterion_group!(benches, codec);
criterion_main!(benches);
