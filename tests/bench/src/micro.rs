//! What do the parts of a request cost by themselves?
//!
//! Each part runs in a loop on one core for a while, in slices that take turns with a fixed piece of arithmetic: where the
//! machine was slow meanwhile, the second column shows it.

mod fields;

mod filter;

mod log;

mod route;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    artifacts,
    options::Micro,
    program::{FRONT, again_on},
    report::quantile,
};

/// Something that is done again and again.
pub(crate) struct Part {
    name: String,
    work: Box<dyn FnMut()>,
}

/// How long a part runs until the next one has its turn.
const SLICE: Duration = Duration::from_millis(20);

impl Part {
    fn new(name: impl Into<String>, work: impl FnMut() + 'static) -> Self {
        Self { name: name.into(), work: Box::new(work) }
    }

    /// Nanoseconds of one pass, over one slice.
    fn slice(&mut self) -> f64 {
        let begun = Instant::now();
        let mut passes = 0_u32;
        while begun.elapsed() < SLICE {
            // Reading the clock costs as much as the cheapest parts.
            for _ in 0..64 {
                (self.work)();
            }
            passes += 64;
        }
        begun.elapsed().as_nanos() as f64 / f64::from(passes)
    }
}

/// Measures all parts.
pub(crate) fn run(options: &Micro) -> Result<()> {
    if !options.pinned {
        if !options.no_build {
            artifacts::build_filters()?;
        }
        return again_on(FRONT);
    }
    let parts = [route::parts()?, fields::parts(), log::parts()?, filter::parts()?];
    let mut parts: Vec<Part> = parts.into_iter().flatten().collect();
    let mut reference = Part::new("", arithmetic);
    let mut figures = vec![Vec::new(); parts.len()];
    for _ in 0..options.rounds {
        for (part, figures) in parts.iter_mut().zip(&mut figures) {
            figures.push((part.slice(), reference.slice()));
        }
    }
    println!("| part | ns | in passes of the reference |\n|---|---|---|");
    for (part, figures) in parts.iter().zip(figures) {
        let nanos = quantile(figures.iter().map(|(part, _)| *part).collect(), 0.5);
        let ratio = quantile(figures.iter().map(|(part, base)| part / base).collect(), 0.5);
        println!("| {} | {nanos:.1} | {ratio:.2} |", part.name);
    }
    Ok(())
}

/// A piece of arithmetic of about 100 ns whose steps need each other.
fn arithmetic() {
    let mut x = black_box(1_u64);
    for _ in 0..64 {
        x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
    }
    black_box(x);
}
