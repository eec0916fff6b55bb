//! The words of the command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::scenario::Scenario;

/// What does a request cost?
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) compare: Compare,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What the parts of a request cost by themselves
    Micro(Micro),
    /// How cost grows with the configuration
    Growth(Growth),
    /// How many instructions a request takes; fails if that is more than agreed
    Budget(Budget),
    /// Serve as the origin
    #[command(hide = true)]
    Origin,
    /// Relay bytes
    #[command(hide = true)]
    Relay {
        /// Address of the origin
        to: SocketAddr,
    },
    /// Serve as Edgewit with a small pool
    #[command(hide = true)]
    Gateway {
        /// Configuration
        config: PathBuf,
    },
    /// Serve as the bare hyper proxy
    #[command(hide = true)]
    Proxy {
        /// Address of the origin
        to: SocketAddr,
        /// Drive the connection to the origin in the task of the client's
        #[arg(long)]
        inline: bool,
        /// Speak HTTP/2 in TLS, with the certificate in this folder
        #[arg(long)]
        tls: Option<PathBuf>,
    },
}

/// What is compared, and for how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct Compare {
    /// Rounds; in each one every contestant has one turn
    #[arg(default_value_t = 7)]
    pub(crate) rounds: usize,
    /// Milliseconds of a turn
    #[arg(default_value_t = 1_000)]
    pub(crate) millis: u64,
    /// Scenarios, by default all
    #[arg(long = "scenario", value_enum, value_delimiter = ',')]
    pub(crate) scenarios: Vec<Scenario>,
    #[command(flatten)]
    pub(crate) server: Server,
    /// Envoy's binary, which is a contestant where it is given
    #[arg(long)]
    pub(crate) envoy: Option<PathBuf>,
    /// This process is where it belongs
    #[arg(long, hide = true)]
    pub(crate) pinned: bool,
}

/// Which build of the server is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Server {
    /// Measure what was built before
    #[arg(long)]
    pub(crate) no_build: bool,
    /// Cargo profile of the server
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
    /// Binary of the server, instead of the one that cargo built
    #[arg(long)]
    pub(crate) binary: Option<PathBuf>,
}

/// How often parts are measured.
#[derive(Debug, Args)]
pub(crate) struct Micro {
    /// Rounds; in each one every part has one slice of 20 ms
    #[arg(default_value_t = 50)]
    pub(crate) rounds: usize,
    /// Measure filters that were built before
    #[arg(long)]
    pub(crate) no_build: bool,
    /// This process is where it belongs
    #[arg(long, hide = true)]
    pub(crate) pinned: bool,
}

/// What is asked, and how often.
#[derive(Debug, Args)]
pub(crate) struct Growth {
    /// Rounds of each question
    #[arg(default_value_t = 7)]
    pub(crate) rounds: usize,
    /// Questions, by default all: routes, plugins, start, reload, idle, together, swap
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    #[command(flatten)]
    pub(crate) server: Server,
    /// This process is where it belongs
    #[arg(long, hide = true)]
    pub(crate) pinned: bool,
}

/// What is counted.
#[derive(Debug, Args)]
pub(crate) struct Budget {
    /// Count what was built before
    #[arg(long)]
    pub(crate) no_build: bool,
}
