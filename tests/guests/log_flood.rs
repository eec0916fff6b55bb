//! Writes many lines, one of them long, one with control characters.

use edgewit_sdk::{Request, log};

/// Floods the log.
#[derive(Default)]
pub struct LogFlood;

impl LogFlood {
    fn on_request(&self, _: &mut Request) {
        log::info("flood: a\r\nb\u{1b}[31mc\u{0}");
        log::info("flood: ".to_owned() + &"x".repeat(100_000));
        for n in 0..500 {
            log::info(format!("flood: line {n}"));
        }
    }
}

edgewit_sdk::export!(LogFlood: request);
