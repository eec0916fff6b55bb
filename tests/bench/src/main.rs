//! What does a request cost? Edgewit beside nginx, HAProxy, a bare hyper proxy and a byte relay, in the same run.
//!
//! `cargo run --release -p edgewit-bench` builds the host and the filters, starts the contestants of a scenario, and loads
//! them one after the other in rounds with nginx between them, so that what the machine does meanwhile meets all of them.
//! Compared is the processor time of the contestant's processes for a request, as a ratio to the turns of nginx right
//! before and after. Contestants are pinned to the first core, origin and load to the second.
//!
//! What the parts cost by themselves is asked with `micro`, how cost grows with the configuration with `growth`, and how
//! many instructions a request may take with `budget`. Start reading at [`compare`].

mod options;

mod compare;

mod scenario;

mod work;

mod ask;

mod contestant;

mod contestants;

mod program;

mod artifacts;

mod certificate;

mod cpu;

mod load;

mod report;

mod servers;

mod micro;

mod growth;

mod budget;

use anyhow::Result;
use clap::Parser;

use options::{Command, Options};

/// That of the server, so that what is measured beside it has no other. The server asks it by a shorter way for blocks above 1 KiB,
/// of which a bare proxy makes two or three a request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let options = Options::parse();
    match &options.command {
        None => compare::run(&options.compare),
        Some(Command::Micro(options)) => micro::run(options),
        Some(Command::Growth(options)) => growth::run(options),
        Some(Command::Budget(options)) => budget::run(options),
        Some(Command::Origin) => servers::origin::serve(),
        Some(Command::Gateway { config }) => servers::gateway::serve(config.clone()),
        Some(Command::Relay { to }) => servers::relay::serve(*to),
        Some(Command::Proxy { to, tls: Some(folder), .. }) => {
            servers::proxy::serve_tls(*to, folder)
        }
        Some(Command::Proxy { to, inline, .. }) => servers::proxy::serve(*to, *inline),
    }
}
