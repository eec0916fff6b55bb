//! Which outcomes are repeated.

use edgewit_sdk::Attempt;
use edgewit_sdk::retry::Failure;

/// Which outcomes are repeated.
#[derive(Debug)]
pub(crate) struct Conditions(Vec<Condition>);

#[derive(Debug, PartialEq)]
enum Condition {
    Status(u16),
    /// The first digit of the status.
    Class(u16),
    Failure(Failure),
}

impl Conditions {
    pub(crate) fn check(names: &[String]) -> Result<Self, String> {
        if names.is_empty() {
            return Err("`on` is empty; `attempts = 1` says that nothing is repeated".into());
        }
        let check = |(position, name): (usize, &String)| {
            Condition::parse(name).ok_or_else(|| {
                format!(
                    "`on[{position}]`: `{name}` is not known; connect, unavailable, reset, timeout, protocol, \
                     a status and a class like `5xx` are"
                )
            })
        };
        names.iter().enumerate().map(check).collect::<Result<_, _>>().map(Conditions)
    }

    pub(crate) fn hold_for(&self, attempt: &Attempt) -> bool {
        self.0.iter().any(|condition| match condition {
            Condition::Status(status) => attempt.status() == Some(*status),
            Condition::Class(class) => attempt.status().map(|status| status / 100) == Some(*class),
            Condition::Failure(failure) => attempt.failure() == Some(*failure),
        })
    }
}

impl Condition {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "connect" => Some(Condition::Failure(Failure::Connect)),
            "reset" => Some(Condition::Failure(Failure::Reset)),
            "timeout" => Some(Condition::Failure(Failure::Timeout)),
            "protocol" => Some(Condition::Failure(Failure::Protocol)),
            "unavailable" => Some(Condition::Failure(Failure::Unavailable)),
            _ => match name.strip_suffix("xx") {
                Some(class) => {
                    class.parse().ok().filter(|class| (2..=5).contains(class)).map(Condition::Class)
                }
                None => name
                    .parse()
                    .ok()
                    .filter(|status| (200..=599).contains(status))
                    .map(Condition::Status),
            },
        }
    }
}
