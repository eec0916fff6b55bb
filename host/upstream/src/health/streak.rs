//! From single results to a state.

use edgewit_model::Health;

/// Results of the checks of one endpoint.
///
/// An endpoint begins as healthy, so that a configuration that is reloaded, or a server that discovery brings, serves at
/// once. Its first check comes soon and decides alone if it fails: what was never seen well gets no patience.
#[derive(Debug)]
pub(super) struct Streak {
    healthy: bool,
    /// Results in a row that speak against the state.
    against: u32,
    is_first: bool,
}

impl Streak {
    pub(super) fn new() -> Self {
        Self { healthy: true, against: 0, is_first: true }
    }

    /// Takes in a result; the new state, if it is another.
    pub(super) fn note(&mut self, well: bool, rules: &Health) -> Option<bool> {
        let is_first = std::mem::take(&mut self.is_first);
        if well == self.healthy {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let enough = match self.healthy {
            true if is_first => 1,
            true => rules.unhealthy_after,
            false => rules.healthy_after,
        };
        if self.against < enough {
            return None;
        }
        (self.healthy, self.against) = (well, 0);
        Some(well)
    }
}

#[cfg(test)]
mod tests {
    use edgewit_model::HealthKind;

    use super::*;

    #[test]
    fn a_state_changes_after_enough_results_in_a_row() {
        let rules = Health { unhealthy_after: 3, healthy_after: 2, ..Health::new(HealthKind::Tcp) };
        let check = |results: &str, expected: &str| {
            let mut streak = Streak::new();
            let mut healthy = true;
            let states: String = results
                .chars()
                .map(|result| {
                    healthy = streak.note(result == '+', &rules).unwrap_or(healthy);
                    if healthy { '+' } else { '-' }
                })
                .collect();
            assert_eq!(states, expected, "{results}");
        };
        check("+---++", "+++--+"); // the third failure, the second success
        check("+--+--+---", "+++++++++-"); // flapping is no outage
        check("+---+-+-++", "+++------+"); // nor a recovery
        check("-", "-"); // the first alone decides
        check("-+-++", "----+");
        check("----++", "-----+");
    }
}
