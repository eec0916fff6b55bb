//! The words of the command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A programmable edge gateway: a plain HTTP proxy whose filters are sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "edgewit", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Configuration file, `-` for standard input [default: ./edgewit.toml, then /etc/edgewit/edgewit.toml]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address of the administration endpoint, instead of the one in the file
    #[arg(long, global = true, value_name = "ADDR", value_parser = address)]
    pub(crate) admin: Option<SocketAddr>,
    /// Shape of what is printed
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub(crate) output: Output,
    /// Print errors only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Log more; repeat for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Color,
}

/// Who reads what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    /// People
    #[default]
    Human,
    /// Programs
    Json,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// In any case
    Always,
    /// Not at all
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve in the foreground; without a configuration, a built-in hello
    Run(Run),
    /// Check the configuration with its plugins, and report everything that is wrong
    Check(Check),
    /// List the routes, or say which one wins for a request and why
    Routes(Routes),
    /// Write, build, look at and test filters; list, swap and disable those that serve
    #[command(subcommand)]
    Plugin(Plugin),
    /// List what happened in the running server: swaps, refusals, roll-backs, reloads, stops
    Events {
        /// Go on with what happens from now on
        #[arg(short, long)]
        follow: bool,
    },
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Explain a code such as E0201
    Explain {
        /// Code of a message; without one, all codes are listed
        code: Option<String>,
    },
    /// Print the version
    Version,
    /// Serve as an origin for tests: answers with what it was asked
    Echo(Echo),
    /// Compile a component in a process of its own; for the server itself
    #[command(hide = true)]
    CompileWorker,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Also reload when the configuration's files change
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Address of the listener, instead of the one in the file; for configurations with one listener
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Write the process id to this file, and remove the file at the end
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Fail on warnings, too
    #[arg(long)]
    pub(crate) deny_warnings: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Routes {
    /// Method of a request, such as GET
    #[arg(requires = "url")]
    pub(crate) method: Option<http::Method>,
    /// URL of a request, such as http://api.example.com/orders/1, or only a path
    pub(crate) url: Option<String>,
    /// Header field of the request
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", requires = "url")]
    pub(crate) headers: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Write a filter that works, to be changed
    New {
        /// Its name, which is also the name of its folder
        name: String,
        /// Language to write it in
        #[arg(short, long, value_enum, default_value_t)]
        lang: Language,
    },
    /// Build the filter of a folder, check it and embed what edgewit-plugin.toml says about it
    Build {
        /// Folder with edgewit-plugin.toml
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
    /// Run the cases in tests/*.toml against the filter of a folder
    Test {
        /// Folder with edgewit-plugin.toml
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
    /// Say what a component is, what it may do and what it wants; of a running server's plugin, also what it really uses
    Inspect {
        /// A component, or the name of a plugin of the running server
        #[arg(value_name = "FILE|NAME")]
        what: String,
    },
    /// List the plugins of the running server with their versions
    List,
    /// Let another version serve in the running server, until the plugin's file changes or a restart
    Swap {
        /// Name of the plugin
        name: String,
        /// Beginning of a digest, a version that the server has, or a component to send
        #[arg(value_name = "VERSION|FILE")]
        version: String,
    },
    /// Let the version before serve again
    Rollback {
        /// Name of the plugin
        name: String,
    },
    /// Take a plugin out of all chains of the running server
    Disable {
        /// Name of the plugin
        name: String,
        /// Even if it authenticates: its routes are open to everybody then
        #[arg(long)]
        force: bool,
    },
    /// Put a disabled plugin back
    Enable {
        /// Name of the plugin
        name: String,
    },
}

/// Languages with a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Language {
    /// Rust
    #[default]
    Rust,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Echo {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = address, default_value = "127.0.0.1:8081")]
    pub(crate) listen: SocketAddr,
    /// Status of the answers
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    pub(crate) status: u16,
    /// Body of the answers, instead of a description of the request
    #[arg(long)]
    pub(crate) body: Option<String>,
    /// Time before each answer, such as 250ms
    #[arg(long, value_parser = duration, default_value = "0ms")]
    pub(crate) delay: Duration,
    /// Share of requests that get 500, from 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = 0.0)]
    pub(crate) fail_rate: f64,
    /// What it calls itself in answers
    #[arg(long, default_value = "echo")]
    pub(crate) name: String,
}

/// An address with port; without a host, as in `:8080`, on all addresses.
fn address(text: &str) -> Result<SocketAddr, String> {
    let text = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.replacen("localhost:", "127.0.0.1:", 1),
    };
    text.parse().map_err(|_| "expected an address with a port, such as `127.0.0.1:8080`".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    edgewit_model::parse_duration(text).map_err(|e| e.to_string())
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "expected a number such as `0.1`".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("expected 0 to 1".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_every_command() {
        let help = Cli::command().term_width(100).render_help().to_string();
        let expected = "\
A programmable edge gateway: a plain HTTP proxy whose filters are sandboxed WebAssembly components

Usage: edgewit [OPTIONS] <COMMAND>

Commands:
  run      Serve in the foreground; without a configuration, a built-in hello
  check    Check the configuration with its plugins, and report everything that is wrong
  routes   List the routes, or say which one wins for a request and why
  plugin   Write, build, look at and test filters; list, swap and disable those that serve
  events   List what happened in the running server: swaps, refusals, roll-backs, reloads, stops
  schema   Print the JSON Schema of the configuration, for editors
  explain  Explain a code such as E0201
  version  Print the version
  echo     Serve as an origin for tests: answers with what it was asked

Options:
";
        assert!(help.starts_with(expected), "{help}");
    }

    #[test]
    fn addresses_may_leave_out_what_is_obvious() {
        let cases = [
            (":8080", Some("0.0.0.0:8080")),
            ("localhost:1", Some("127.0.0.1:1")),
            ("[::1]:80", Some("[::1]:80")),
            ("8080", None),
            ("example.com:80", None),
        ];
        for (text, expected) in cases {
            assert_eq!(address(text).ok(), expected.map(|e| e.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_method_needs_a_url() {
        assert!(Cli::try_parse_from(["edgewit", "routes", "GET"]).is_err());
        assert!(Cli::try_parse_from(["edgewit", "routes", "GET", "/a", "-o", "json"]).is_ok());
        assert!(Cli::try_parse_from(["edgewit", "routes"]).is_ok());
    }
}
