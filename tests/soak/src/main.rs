//! `cargo run --release -p edgewit-soak -- 20m`: everything at once for twenty minutes, then what has grown.
//!
//! `--program target/debug/edgewit` before the length takes another program than the one of this profile; a number behind it,
//! such as `20m 10000`, goes on until there were as many swaps. Exit codes: 0 all bounds held and no honest request failed,
//! 1 otherwise.

use std::process::ExitCode;

use edgewit_soak::{Plan, run};

fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let report = run(&Plan::parse(&words)?)?;
    println!("{report}");
    Ok(if report.broken().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
