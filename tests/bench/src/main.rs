//! What does a request cost? Edgewit beside a byte relay and a bare hyper proxy, in the same run.
//!
//! `cargo run --release -p edgewit-bench` builds the host and the filters, starts every contestant once, and loads them
//! one after the other in rounds, so that what the machine does meanwhile meets all of them. Compared is the processor
//! time of the contestant's process for a request, as a ratio to the bare hyper proxy in the same round; the
//! median over the rounds is printed. Arguments: rounds (default 7) and milliseconds of a turn (default 1000); with
//! `--no-build` before them what was built before is measured.
//!
//! Contestants are pinned to one core and the origin to the other, where `taskset` is at hand; the load runs where the
//! system puts it.

mod contestant;

mod load;

mod origin;

mod proxy;

mod relay;

mod report;

use std::time::Duration;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["origin"] => origin::serve(),
        ["relay", to] => relay::serve(to.parse()?),
        ["proxy", to] => proxy::serve(to.parse()?),
        ["--no-build", rest @ ..] => bench(rest),
        rest => contestant::build().and_then(|()| bench(rest)),
    }
}

fn number(text: &str) -> Result<u64> {
    text.parse().with_context(|| format!("`{text}` is not a number"))
}

fn bench(args: &[&str]) -> Result<()> {
    let (rounds, millis) = match args {
        [] => (7, 1_000),
        [rounds] => (number(rounds)?, 1_000),
        [rounds, millis] => (number(rounds)?, number(millis)?),
        _ => bail!("usage: edgewit-bench [--no-build] [ROUNDS [MILLISECONDS]]"),
    };
    let field = contestant::start_all()?;
    let mut table = report::Table::new(&field);
    let turn = Duration::from_millis(millis);
    for contestant in &field {
        contestant.verify()?;
        load::run(contestant.address, turn / 4)?; // connections, caches and branch predictors
    }
    for round in 0..rounds {
        for (index, contestant) in field.iter().enumerate() {
            let before = contestant.cpu()?;
            let sample = load::run(contestant.address, turn)?;
            table.add(index, round, sample, contestant.cpu()? - before);
        }
    }
    table.print(&field)
}
