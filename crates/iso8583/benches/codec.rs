//! Parse and build of a typical authorisation request.
fn main() {}
