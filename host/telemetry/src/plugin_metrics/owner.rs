//! Whose series they are.

use std::borrow::Cow;

use edgewit_model::{PluginName, RouteName};

/// Whose series they are: a plugin's, or those of a plugin in one route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) plugin: PluginName,
    pub(super) route: Option<RouteName>,
}

impl Owner {
    /// Labels of a plugin without one that the host writes here.
    pub(super) fn leave_out_ours<'a, 'b>(
        &self,
        labels: &'a [(&'b str, &'b str)],
    ) -> Cow<'a, [(&'b str, &'b str)]> {
        match self.route {
            Some(_) => labels.iter().filter(|(name, _)| *name != ROUTE_LABEL).copied().collect(),
            None => Cow::Borrowed(labels),
        }
    }

    /// What the host writes at each of them.
    pub(super) fn labels(&self) -> Vec<(String, String)> {
        let route = self.route.iter().map(|route| (ROUTE_LABEL, route.as_str()));
        let labels = std::iter::once(("plugin", self.plugin.as_str())).chain(route);
        labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// What it writes beside them where a plugin's metrics are separate for each route.
const ROUTE_LABEL: &str = "route";
