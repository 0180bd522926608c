//! Replays the corpus of the fuzz targets, and some thousands of mutations of it, with stable Rust.

#![allow(
    unreachable_pub,
    reason = "the bodies are the public items of the fuzz crate"
)]

mod support;

#[path = "../fuzz/src/connection.rs"]
mod connection;
#[path = "../fuzz/src/deflate.rs"]
mod deflate;
#[path = "../fuzz/src/frames.rs"]
mod frames;
#[path = "../fuzz/src/handshake.rs"]
mod handshake;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use support::epoch;

#[test]
fn frames_survive_corpus_and_mutations() {
    replay("frames", frames::run, 50_000);
}

#[test]
fn connection_server_survives_corpus_and_mutations() {
    replay("connection_server", connection::run_server, 20_000);
}

#[test]
fn connection_client_survives_corpus_and_mutations() {
    replay("connection_client", connection::run_client, 20_000);
}

#[test]
fn deflate_survives_corpus_and_mutations() {
    replay("deflate", deflate::run, 3_000);
}

#[test]
fn handshake_survives_corpus_and_mutations() {
    replay("handshake", handshake::run, 20_000);
}

fn replay(target: &str, run: fn(Instant, &[u8]), mutations: u64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&folder).expect("every target has a corpus");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the corpus can be listed").path())
        .collect();
    // The order of a folder differs between systems, but the seeds must not.
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| fs::read(path).expect("the corpus can be read"))
        .collect();
    assert!(!corpus.is_empty());
    for (path, input) in paths.iter().zip(&corpus) {
        attempt(run, input, &path.display().to_string());
    }
    for seed in 0..mutations {
        attempt(
            run,
            &mutated(&corpus, seed),
            &format!("{target}, seed {seed}"),
        );
    }
}

fn attempt(run: fn(Instant, &[u8]), input: &[u8], name: &str) {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(epoch(), input)));
    assert!(outcome.is_ok(), "{name} failed with {input:02x?}");
}

/// Makes an input of entries of the corpus, determined by the seed alone.
fn mutated(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let position = random.below(input.len() + 1);
        match random.below(6) {
            0 => input.truncate(position),
            1 => input.insert(position, random.below(256) as u8),
            2 if position < input.len() => input[position] = random.below(256) as u8,
            3 if position < input.len() => input[position] ^= 1 << random.below(8),
            4 if position < input.len() => drop(input.remove(position)),
            _ => {
                let other = &corpus[random.below(corpus.len())];
                let start = random.below(other.len() + 1);
                let part = other[start..].to_vec();
                drop(input.splice(position..position, part));
            }
        }
    }
    input
}

/// The generator splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}
