//! The core inside the Erlang VM: bytes in, bytes out, no policy, no atoms.

mod canonical;
mod digest;
mod entry;

use rustler::{Binary, Env, NewBinary};

/// Answers a request on a dirty scheduler: a plan for a large cluster takes longer than a millisecond.
#[rustler::nif(schedule = "DirtyCpu")]
fn call<'a>(env: Env<'a>, request: Binary<'a>) -> Binary<'a> {
    answer(env, &request)
}

/// The same for requests that wait for the network.
#[rustler::nif(schedule = "DirtyIo")]
fn call_io<'a>(env: Env<'a>, request: Binary<'a>) -> Binary<'a> {
    answer(env, &request)
}

fn answer<'a>(env: Env<'a>, request: &[u8]) -> Binary<'a> {
    let answer = easy_cluster_wire::answer(request);
    let mut binary = NewBinary::new(env, answer.len());
    binary.as_mut_slice().copy_from_slice(&answer);
    binary.into()
}
