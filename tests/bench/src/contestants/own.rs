//! The byte relay and the bare hyper proxies: modes of this program.

use anyhow::{Context, Result};

use crate::{
    contestant::{Kind, Stage, Started},
    program::{FRONT, Program},
};

pub(super) fn start(stage: &Stage<'_>) -> Result<Started> {
    let origin = stage.origins[0].to_string();
    let folder = stage.folder.display().to_string();
    let mut args = match stage.entry.kind {
        Kind::Relay => vec!["relay", &origin],
        Kind::HyperInline => vec!["proxy", &origin, "--inline"],
        _ => vec!["proxy", &origin],
    };
    if stage.tls {
        args.extend(["--tls", &folder]);
    }
    let (program, addresses) = Program::own(FRONT, &args)?;
    let address = *addresses.first().context("it listens nowhere")?;
    Ok(Started { program, address, metrics: None })
}
