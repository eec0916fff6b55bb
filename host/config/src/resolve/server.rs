//! `[server]`, `[admin]` and `version`.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use edgewit_model::{Admin, Server};

use super::Cx;
use crate::{Diagnostic, code, raw, tree::Document};

/// Time for the longest usual request after SIGTERM; Kubernetes kills after 30 s by default.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Time in which load balancers notice that `/readyz` says no.
const DRAIN_DELAY: Duration = Duration::from_secs(5);
/// Time in which a new process compiles every plugin anew, if it has to.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(60);
/// More threads than any machine has cores.
const MOST_WORKERS: u64 = 1_024;
/// Each request inside a filter takes one; what comes beyond gets 503.
const INSTANCES: u32 = 1_000;
/// What fits into half of the address space of x86-64.
const MOST_INSTANCES: u64 = 16_000;

pub(super) fn version(version: i64, cx: &mut Cx<'_, '_>) {
    if version != 1 {
        let span = cx.item.value.span();
        cx.error(code::VERSION, &span, format!("version `{version}` is not known; this is 1"));
    }
}

pub(super) fn server(raw: raw::Server, cx: &mut Cx<'_, '_>) -> Server {
    let workers = cx.count(&raw.workers, 0..=MOST_WORKERS, 0);
    let plugin_dir = raw.plugin_dir.map(|dir| cx.path(&dir));
    let state_dir = raw.state_dir.map(|dir| cx.path(&dir));
    Server {
        workers: (workers > 0).then_some(workers),
        instances: cx.count(&raw.instances, 1..=MOST_INSTANCES, INSTANCES),
        plugin_dir: plugin_dir.unwrap_or_else(|| cx.base.join(PLUGIN_DIR)),
        state_dir: state_dir.unwrap_or_else(|| cx.base.join(STATE_DIR)),
        drain_timeout: cx.pause(&raw.drain_timeout, DRAIN_TIMEOUT),
        drain_delay: cx.pause(&raw.drain_delay, DRAIN_DELAY),
        upgrade_timeout: cx.time(&raw.upgrade_timeout, UPGRADE_TIMEOUT),
    }
}

/// The plugin folder, found without the types, since names of plugins are checked before.
pub(crate) fn plugin_dir(document: &Document<'_>, base: &Path) -> PathBuf {
    let server = document.singles.get("server");
    let dir = server.and_then(|item| item.get("plugin-dir")).and_then(|v| v.get_ref().as_str());
    base.join(dir.unwrap_or(PLUGIN_DIR))
}

const PLUGIN_DIR: &str = "plugins";
const STATE_DIR: &str = ".edgewit";

pub(super) fn admin(raw: raw::Admin, cx: &mut Cx<'_, '_>) -> Option<Admin> {
    let Some(text) = raw.listen else { return Some(Admin { listen: ADMIN }) };
    if text.value == "off" {
        return None;
    }
    let listen = cx.address(&text)?;
    if !listen.ip().to_canonical().is_loopback() {
        let message = format!("administration on `{}` would be open to the network", listen.ip());
        let help = format!("listen = \"127.0.0.1:{}\"", listen.port());
        let diagnostic = Diagnostic::new(code::ADMIN_ADDRESS, message)
            .at(cx.at(&text.span), "not a loopback address")
            .note("there is no authentication for it yet")
            .help(help);
        cx.report.push(diagnostic);
    }
    Some(Admin { listen })
}

const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9977);
