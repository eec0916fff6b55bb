//! Swaps of a filter in all ways there are, and reloads of the configuration.

use std::fs;

use edgewit_harness::{Ask, Connection, Protocol, Reply, artifact, post, until};
use rustix::process::Signal;

use crate::site::Site;

/// Changes the gateway, step by step.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    steps: u64,
    /// Times that another version has served.
    pub(crate) swaps: u64,
    /// Configurations that went live.
    pub(crate) reloads: u64,
    /// Versions that were refused, as they should be.
    pub(crate) refused: u64,
    /// The version that serves.
    second: bool,
}

/// Steps after which every kind of change has happened. Most of them are the quickest kind, so that there are many swaps.
const ROUND: u64 = 60;

impl Changes {
    /// Has everything happened that often?
    pub(crate) fn rounds(&self) -> u64 {
        self.steps / ROUND
    }

    /// The next change; returns when it serves.
    pub(crate) fn step(&mut self, site: &Site) {
        match self.steps % ROUND {
            0 => self.reload(site),
            12 => self.swap_to_new_content(site),
            24 => self.swap_by_command(site),
            36 => self.swap_by_watching(site),
            48 => self.refuse(site),
            _ => self.swap_by_signal(site),
        }
        self.steps += 1;
    }

    /// A renamed file, then SIGHUP: the quickest, so that there are many.
    fn swap_by_signal(&mut self, site: &Site) {
        site.gateway.put(&self.other(), "version");
        site.gateway.signal(Signal::HUP);
        self.swapped(site);
    }

    fn swap_by_watching(&mut self, site: &Site) {
        site.gateway.put(&self.other(), "version");
        self.swapped(site);
    }

    /// What was never seen before has to be compiled, and goes by another name everywhere.
    fn swap_to_new_content(&mut self, site: &Site) {
        let remark = format!("\u{6}remark{:08}", self.steps);
        let mut component = self.other();
        component.extend_from_slice(&[0, remark.len() as u8]);
        component.extend_from_slice(remark.as_bytes());
        site.gateway.put(&component, "version");
        self.swapped(site);
    }

    /// Sends a version, lets it serve, and goes back.
    fn swap_by_command(&mut self, site: &Site) {
        let sent = command(site, "/versions", self.other(), "application/wasm");
        assert_eq!(sent.status, 201, "{}", sent.text());
        let body = format!("{{\"version\": {}}}", sent.json()["digest"]);
        let swapped = command(site, ":swap", body, "application/json");
        assert_eq!(swapped.status, 200, "{}", swapped.text());
        self.swapped(site);
        let back = command(site, ":rollback", "{}", "application/json");
        assert_eq!(back.status, 200, "{}", back.text());
        self.swapped(site);
    }

    /// A file that is no component, and then what serves again.
    fn refuse(&mut self, site: &Site) {
        let refused = || {
            let labels = [("plugin", "version"), ("result", "refused")];
            site.gateway.metrics().sum("edgewit_plugin_swaps_total", &labels)
        };
        let before = refused();
        let file = site.gateway.setup().plugin("version");
        let good = fs::read(&file).expect("the file can be read");
        site.gateway.put(b"no component", "version");
        until("a refusal", || (refused() > before).then_some(()));
        site.gateway.put(&good, "version");
        self.refused += 1;
    }

    fn reload(&mut self, site: &Site) {
        self.reloads += 1;
        site.write(self.reloads);
        site.gateway.reload();
    }

    /// The content of the version that does not serve.
    fn other(&self) -> Vec<u8> {
        let guest = if self.second { "version_one" } else { "version_two" };
        fs::read(artifact::guest(guest)).expect("a guest can be read")
    }

    /// Waits until the other version serves.
    fn swapped(&mut self, site: &Site) {
        self.second = !self.second;
        let expected = if self.second { "2" } else { "1" };
        until("the other version to serve", || {
            let reply = site.gateway.get("/version");
            (reply.header("x-response-version") == expected).then_some(())
        });
        self.swaps += 1;
    }
}

fn command(site: &Site, what: &str, body: impl Into<Vec<u8>>, kind: &str) -> Reply {
    let ask: Ask = post(&format!("/v1/plugins/version{what}"), body.into());
    let ask = ask.header("x-edgewit-admin", "1").header("content-type", kind);
    Connection::open(site.gateway.admin(), Protocol::H1).send(ask)
}
