//! How is it started? The command line of Edgewit.
//!
//! Each command is a file: it turns words into a call of the libraries and their answer into words. Nothing is decided here
//! that a library could decide. Errors that end a command are of `anyhow`; data goes to standard output, words for people
//! to standard error. Exit codes: 0 fine, 1 an error or a failed check, 2 wrong usage, 130 ended by a second SIGINT.
//! Start reading at `main` and [`run`].

mod cli;

mod run;

mod serve;

mod check;

mod routes;

mod explain;

mod plugin;

mod admin;

mod events;

mod echo;

mod config;

mod screen;

mod signals;

mod handover;

mod successor;

mod systemd;

mod memory;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser as _;

use cli::{Cli, Command, Plugin};
use plugin::live::Ask;
use screen::Screen;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let screen = Screen::new(&cli.global);
    match dispatch(cli, screen) {
        Ok(code) => code,
        Err(error) => {
            screen.error(format!("{}: {error:#}", screen.paint(screen::RED, "error")));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli, screen: Screen) -> anyhow::Result<ExitCode> {
    let global = &cli.global;
    match &cli.command {
        Command::Run(options) => run::run(global, options, screen),
        Command::Check(options) => check::run(global, options, screen),
        Command::Routes(options) => routes::run(global, options, screen),
        Command::Plugin(Plugin::New { name, lang }) => plugin::new::run(name, *lang, screen),
        Command::Plugin(Plugin::Build { dir }) => plugin::build::run(dir, screen),
        Command::Plugin(Plugin::Test { dir }) => plugin::test::run(dir, screen),
        Command::Plugin(Plugin::Inspect { what }) if plugin::inspect::is_meant(what) => {
            plugin::inspect::run(what.as_ref(), screen)
        }
        Command::Plugin(Plugin::Inspect { what }) => live(global, Ask::Inspect(what), screen),
        Command::Plugin(Plugin::List) => live(global, Ask::List, screen),
        Command::Plugin(Plugin::Swap { name, version }) => {
            live(global, Ask::Swap(name, version), screen)
        }
        Command::Plugin(Plugin::Rollback { name }) => live(global, Ask::Rollback(name), screen),
        Command::Plugin(Plugin::Disable { name, force }) => {
            live(global, Ask::Disable(name, *force), screen)
        }
        Command::Plugin(Plugin::Enable { name }) => live(global, Ask::Enable(name), screen),
        Command::Events { follow } => runtime()?.block_on(events::run(global, *follow, screen)),
        Command::Schema => schema(screen),
        Command::Explain { code } => explain::run(code.as_deref(), screen),
        Command::Version => version(screen),
        Command::Echo(options) => runtime()?.block_on(echo::run(options.clone(), screen)).map(fine),
        Command::CompileWorker => Ok(edgewit_control::compile_worker()),
    }
}

/// A thread for blocking work that has none ends after so long: what it has freed is the system's again only then.
const IDLE_THREAD: Duration = Duration::from_secs(1);

/// For what is not the way of a request: signals, administration, watching. The proxy has workers of its own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_all()
        .thread_keep_alive(IDLE_THREAD)
        .build()
        .context("no event loop could be made")
}

fn live(global: &cli::Global, ask: Ask<'_>, screen: Screen) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(plugin::live::run(global, ask, screen))
}

fn fine((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

fn schema(screen: Screen) -> anyhow::Result<ExitCode> {
    screen.json(&edgewit_config::schema()).map(fine)
}

fn version(screen: Screen) -> anyhow::Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    match screen.is_json() {
        true => screen.json(&serde_json::json!({ "version": version }))?,
        false => screen.data(format!("edgewit {version}")),
    }
    Ok(ExitCode::SUCCESS)
}
