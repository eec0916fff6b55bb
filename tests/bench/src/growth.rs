//! How does cost grow with the configuration, and with those who are connected?
//!
//! Each question has its own server and prints its figure beside its goal. Where a cost is compared, both servers are alive
//! and take turns.

mod gateway;

mod requests;

mod start;

mod reload;

mod idle;

mod swap;

use anyhow::{Context, Result};

use crate::{
    artifacts,
    options::Growth,
    program::{BACK, Program, again_on},
};

/// One line of the table.
pub(crate) struct Figure {
    what: String,
    value: f64,
    goal: f64,
    unit: &'static str,
}

/// What every question needs.
pub(crate) struct Setting<'a> {
    edgewit: &'a std::path::Path,
    origin: std::net::SocketAddr,
    rounds: usize,
}

/// A question with its answers.
type Question = fn(&Setting<'_>) -> Result<Vec<Figure>>;

const QUESTIONS: [(&str, Question); 7] = [
    ("routes", requests::routes),
    ("plugins", requests::plugins),
    ("start", start::figures),
    ("reload", reload::figures),
    ("idle", idle::connections),
    ("together", idle::together),
    ("swap", swap::figures),
];

/// Asks all questions, or those that are named.
pub(crate) fn run(options: &Growth) -> Result<()> {
    if !options.pinned {
        artifacts::build(&options.server)?;
        return again_on(BACK);
    }
    let (_origin, origins) = Program::own(BACK, &["origin"])?;
    let setting = Setting {
        edgewit: &artifacts::binary(&options.server)?,
        origin: *origins.first().context("the origin listens nowhere")?,
        rounds: options.rounds,
    };
    println!("| what | figure | goal | |\n|---|---|---|---|");
    for (name, question) in QUESTIONS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        for figure in question(&setting).with_context(|| name.to_owned())? {
            println!("{}", figure.line());
        }
    }
    Ok(())
}

impl Figure {
    fn line(&self) -> String {
        let Self { what, value, goal, unit } = self;
        let met = if value <= goal { "met" } else { "missed" };
        format!("| {what} | {value:.2}{unit} | at most {goal}{unit} | {met} |")
    }
}
