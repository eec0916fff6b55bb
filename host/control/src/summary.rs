//! What a start has brought, in one line.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{
    prepare::PreparedPlugins,
    status::{Counts, counted},
};

/// What a start has brought. Its text is the line `ready in ...`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// From the configuration to the first request.
    pub took_ms: u64,
    /// How many things there are.
    #[serde(flatten)]
    pub counts: Counts,
    /// Plugins whose native code was in the cache.
    pub from_cache: usize,
    /// Plugins that were compiled.
    pub compiled: usize,
    /// How long that took.
    pub compile_ms: u64,
    /// Counts the changes that went live.
    pub generation: u64,
}

impl Summary {
    pub(crate) fn new(
        took: Duration,
        counts: Counts,
        plugins: &PreparedPlugins,
        generation: u64,
    ) -> Self {
        let mut summary = Self {
            took_ms: millis(took),
            counts,
            from_cache: 0,
            compiled: 0,
            compile_ms: 0,
            generation,
        };
        for plugin in plugins.values() {
            if plugin.filters.iter().all(|variant| variant.filter.info().from_cache) {
                summary.from_cache += 1;
            } else {
                summary.compiled += 1;
                summary.compile_ms += millis(plugin.took);
            }
        }
        summary
    }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { listeners, routes, plugins, upstreams } = self.counts;
        write!(f, "ready in {} ms · {}", self.took_ms, counted(listeners, "listener"))?;
        write!(f, " · {} · {}", counted(routes, "route"), counted(plugins, "plugin"))?;
        match (self.from_cache, self.compiled) {
            (0, 0) => {}
            (cached, 0) => write!(f, " ({cached} from cache)")?,
            (0, compiled) => write!(f, " ({compiled} compiled in {} ms)", self.compile_ms)?,
            (cached, compiled) => {
                let took = self.compile_ms;
                write!(f, " ({cached} from cache, {compiled} compiled in {took} ms)")?;
            }
        }
        write!(f, " · {} · generation {}", counted(upstreams, "upstream"), self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_one_line() {
        let counts = Counts { listeners: 2, routes: 14, plugins: 6, upstreams: 1 };
        let mut summary =
            Summary::new(Duration::from_millis(41), counts, &PreparedPlugins::new(), 1);
        assert_eq!(
            summary.to_string(),
            "ready in 41 ms · 2 listeners · 14 routes · 6 plugins · 1 upstream · generation 1"
        );
        summary = Summary { from_cache: 5, compiled: 1, compile_ms: 212, ..summary };
        assert!(summary.to_string().contains("6 plugins (5 from cache, 1 compiled in 212 ms) ·"));
    }
}
