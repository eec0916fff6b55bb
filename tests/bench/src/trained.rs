//! The server, built for what it really does (profile-guided optimisation).
//!
//! A build that counts where it goes is put under every load that the comparison knows. The release build is then made with these
//! counts: what is often run lies together and is inlined, what is rare is out of the way.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    artifacts,
    contestant::{Contestant, Kind},
    load::Pace,
    options::Trained,
    program::{BACK, Program},
    scenario::Scenario,
};

/// Builds the server, trained, and says where it is.
pub(crate) fn run(options: &Trained) -> Result<()> {
    let host = host()?;
    let tool = profdata(&host)?;
    let folder = artifacts::target()?.join("trained");
    let (counts, profile) = (folder.join("counts"), folder.join("edgewit.profdata"));
    if counts.exists() {
        fs::remove_dir_all(&counts)?;
    }
    artifacts::build_filters()?;
    let generate = format!("-Cprofile-generate={}", counts.display());
    // Counts are taken before anything is optimised over the borders of crates, so this build can do without.
    let counting = build(&folder, &host, &generate, &["--config", "profile.release.lto=false"])?;
    train(&counting, Duration::from_millis(options.millis))?;
    merge(&tool, &counts, &profile)?;
    let server = build(&folder, &host, &format!("-Cprofile-use={}", profile.display()), &[])?;
    println!("{}", server.display());
    Ok(())
}

/// The release build with these flags.
fn build(folder: &Path, host: &str, flags: &str, more: &[&str]) -> Result<PathBuf> {
    let folder_text = folder.display().to_string();
    let args = ["build", "--release", "-p", "edgewit", "--target-dir", &folder_text];
    // With a target, the flags are not for build scripts and macros.
    let args = [args.as_slice(), &["--target", host], more].concat();
    artifacts::cargo_with(&args, &[("RUSTFLAGS", flags)])?;
    Ok(folder.join(host).join("release/edgewit"))
}

/// Every kind of load, each for so long.
fn train(server: &Path, turn: Duration) -> Result<()> {
    let (_origin, addresses) = Program::own(BACK, &["origin"])?;
    let origins = addresses.try_into().ok().context("the origin has two addresses")?;
    for scenario in Scenario::all() {
        let entries = scenario.entries();
        let own = |kind| matches!(kind, Kind::Reused | Kind::Fresh);
        for entry in entries.into_iter().filter(|entry| own(entry.kind)) {
            let started = Contestant::start(entry, origins, scenario.tls(), (server, None))?;
            let Some(contestant) = started else { continue };
            let ask = scenario.ask();
            contestant.verify(&ask)?;
            let sample = contestant.target.load(&ask, Pace::Closed, turn)?;
            println!("{}: {} requests", contestant.name, sample.requests());
            contestant.end()?; // it writes its counts at its end
        }
    }
    Ok(())
}

fn merge(tool: &Path, counts: &Path, profile: &Path) -> Result<()> {
    let mut merge = Command::new(tool);
    merge.args(["merge", "-o"]).arg(profile).arg(counts);
    if merge.status()?.success() { Ok(()) } else { bail!("`{}` failed", tool.display()) }
}

/// The tool that adds counts up.
fn profdata(host: &str) -> Result<PathBuf> {
    let root = rustc(&["--print", "sysroot"])?;
    let tool = Path::new(root.trim()).join("lib/rustlib").join(host).join("bin/llvm-profdata");
    if !tool.exists() {
        bail!("there is no `{}`: `rustup component add llvm-tools` installs it", tool.display());
    }
    Ok(tool)
}

/// For what the compiler builds here.
fn host() -> Result<String> {
    let about = rustc(&["-vV"])?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("the compiler does not say where it is")?.to_owned())
}

fn rustc(args: &[&str]) -> Result<String> {
    let output = Command::new("rustc").args(args).current_dir(artifacts::root()?).output()?;
    Ok(String::from_utf8(output.stdout)?)
}
