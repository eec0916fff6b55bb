//! What is compared with what.

use clap::ValueEnum;

use crate::{
    ask::Ask,
    contestant::{Entry, Kind},
    work::Work,
};

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// No filter
    None,
    /// One filter that sets a request field and a response field
    Headers,
    /// Authentication, routing, header fields, rate limit, telemetry; one script elsewhere
    Five,
    /// The header filter five times
    FiveHeaders,
    /// 64 KiB, untouched and with every byte rewritten
    Body,
    /// HTTP/2 in TLS 1.3
    Tls,
    /// 70 % of what nginx can do, whatever comes back
    Open,
}

/// The share of nginx's capacity at which latency is compared.
pub(crate) const SHARE: f64 = 0.7;

impl Scenario {
    /// All of them, in the order in which they are run.
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// The headline of its table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Scenario::None => "No filter",
            Scenario::Headers => "One header filter",
            Scenario::Five => {
                "Five different filters: auth, routing, headers, rate limit, telemetry"
            }
            Scenario::FiveHeaders => "Five header filters",
            Scenario::Body => "64 KiB, untouched and with every byte rewritten",
            Scenario::Tls => "TLS 1.3 with HTTP/2, no filter",
            Scenario::Open => "Open loop at 70 % of nginx's capacity, no filter",
        }
    }

    /// The request.
    pub(crate) fn ask(self) -> Ask {
        if self == Scenario::Body { Ask::large() } else { Ask::small() }
    }

    /// Is it HTTP/2 in TLS?
    pub(crate) fn tls(self) -> bool {
        self == Scenario::Tls
    }

    /// Who takes part, beside the one that others are compared to.
    pub(crate) fn entries(self) -> Vec<Entry> {
        use Kind::*;
        let all = |kinds: &[Kind], work| -> Vec<Entry> {
            kinds.iter().map(|kind| Entry { kind: *kind, work }).collect()
        };
        match self {
            Scenario::None => all(&[Relay, HyperInline, Hyper, Haproxy, Envoy, Fresh], Work::Pass),
            Scenario::Headers => all(&[Nginx, Haproxy, Envoy, Reused, Fresh], Work::Fields(1)),
            Scenario::Five => all(&[Nginx, Haproxy, Reused, Fresh], Work::Five),
            Scenario::FiveHeaders => all(&[Envoy, Reused, Fresh], Work::Fields(5)),
            Scenario::Body => [
                all(&[HyperInline, Haproxy, Envoy, Fresh], Work::Pass),
                all(&[Nginx, Reused, Fresh], Work::Rewrite),
            ]
            .concat(),
            Scenario::Tls => all(&[Hyper, Haproxy, Fresh], Work::Pass),
            Scenario::Open => all(&[HyperInline, Haproxy, Envoy, Fresh], Work::Pass),
        }
    }

    /// The one that others are compared to; the next where it is not installed.
    pub(crate) fn baselines(self) -> [Entry; 2] {
        let pass = |kind| Entry { kind, work: Work::Pass };
        let hyper = if self.tls() { Kind::Hyper } else { Kind::HyperInline };
        [pass(Kind::Nginx), pass(hyper)]
    }
}
