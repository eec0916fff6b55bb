//! The moments at which a filter can be asked.

use std::fmt;

/// A moment at which a filter can be asked; the exported interfaces of `edgewit:filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Who is asking, and may they?
    Auth,
    /// Where does it go?
    Routing,
    /// The request's head.
    Request,
    /// The request's body.
    RequestBody,
    /// Should it be tried again?
    Retry,
    /// The response's head.
    Response,
    /// The response's body.
    ResponseBody,
    /// What happened.
    Telemetry,
}

impl Phase {
    /// All phases, in the order of an exchange.
    pub const ALL: [Phase; 8] = [
        Phase::Auth,
        Phase::Routing,
        Phase::Request,
        Phase::RequestBody,
        Phase::Retry,
        Phase::Response,
        Phase::ResponseBody,
        Phase::Telemetry,
    ];

    /// The name of its interface in WIT, also its label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Auth => "auth",
            Phase::Routing => "routing",
            Phase::Request => "request",
            Phase::RequestBody => "request-body",
            Phase::Retry => "retry",
            Phase::Response => "response",
            Phase::ResponseBody => "response-body",
            Phase::Telemetry => "telemetry",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases(u8);

impl Phases {
    /// No phase.
    pub const NONE: Phases = Phases(0);
    /// Those that a request's head goes through.
    pub const REQUEST_SIDE: Phases =
        Phases::NONE.with(Phase::Auth).with(Phase::Routing).with(Phase::Request);

    /// With this phase too.
    #[must_use]
    pub const fn with(self, phase: Phase) -> Self {
        Self(self.0 | 1 << phase as u8)
    }

    /// The phases of both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Is it in the set?
    pub fn has(self, phase: Phase) -> bool {
        self.0 & (1 << phase as u8) != 0
    }

    /// Is any phase in both?
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Is any phase at or after this one in the set?
    pub fn any_from(self, phase: Phase) -> bool {
        self.0 >> phase as u8 != 0
    }

    /// The phases of the set, in the order of an exchange.
    pub fn iter(self) -> impl Iterator<Item = Phase> {
        Phase::ALL.into_iter().filter(move |p| self.has(*p))
    }
}

impl FromIterator<Phase> for Phases {
    fn from_iter<I: IntoIterator<Item = Phase>>(phases: I) -> Self {
        phases.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: Phases = [Phase::Retry, Phase::Auth].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Phase::Auth, Phase::Retry]);
        assert!(set.any_from(Phase::Retry) && !set.any_from(Phase::Response));
        assert!(set.union(Phases::NONE.with(Phase::Telemetry)).any_from(Phase::Response));
        assert!(set.meets(Phases::REQUEST_SIDE) && !set.meets(Phases::NONE.with(Phase::Routing)));
    }
}
