//! Tries every road out of the sandbox that the path and query name, and tells how far it got. Made without the SDK,
//! which keeps WASI out.

// Generated code: it is `unsafe` where it meets the canonical ABI.
#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
#![cfg(target_arch = "wasm32")]

wit_bindgen::generate!({ path: "../../wit", world: "with-request" });

use edgewit::filter::types::{Answer, Head};
use exports::edgewit::filter::request::{Guest, Outcome, Verdict};

struct Outside;

impl Guest for Outside {
    fn on_request(head: Head, _: Vec<u8>) -> Result<Outcome, String> {
        let (road, target) = (fact(&head, 3), fact(&head, 4));
        let got = match road.as_str() {
            "/read" => outcome(std::fs::read(target).map(|bytes| bytes.len())),
            "/write" => outcome(std::fs::write(target, "here")),
            "/folder" => outcome(std::fs::read_dir(target).map(|entries| entries.count())),
            "/connect" => outcome(std::net::TcpStream::connect(target)),
            "/listen" => outcome(std::net::TcpListener::bind(target)),
            "/environment" => {
                format!(
                    "{} variables, {} arguments",
                    std::env::vars().count(),
                    std::env::args().count()
                )
            }
            "/print" => {
                println!("printed by a guest");
                eprintln!("an error printed by a guest");
                "printed".to_owned()
            }
            other => format!("no road {other}"),
        };
        let answer = Answer { status: 200, fields: Vec::new(), body: got.into_bytes() };
        Ok(Outcome { verdict: Verdict::Answer(answer), state: None })
    }
}

fn outcome<T>(result: std::io::Result<T>) -> String {
    match result {
        Ok(_) => "outside".to_owned(),
        Err(error) => format!("refused: {error}"),
    }
}

/// The fact with this number; empty if there is none.
fn fact(head: &Head, number: u16) -> String {
    for entry in &head.index {
        if entry.slot == 0x8000 + number {
            let value = &head.bytes[entry.name_end as usize..entry.value_end as usize];
            return String::from_utf8_lossy(value).into_owned();
        }
    }
    String::new()
}

export!(Outside);
