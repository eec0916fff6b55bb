//! Finding the route among few and many.

use std::hint::black_box;

use anyhow::{Result, anyhow};
use edgewit_model::{Config, NormalizedPath};
use edgewit_proxy::{Ask, Found, RouteTable};
use http::{HeaderMap, Method};

use super::Part;

/// How many routes there are.
const ROUTES: [usize; 4] = [1, 100, 1_000, 10_000];

pub(super) fn parts() -> Result<Vec<Part>> {
    ROUTES.into_iter().map(part).collect()
}

fn part(count: usize) -> Result<Part> {
    let config = configured(&routes(count))?;
    let table = RouteTable::new(config.routes.values().map(|route| &**route))?;
    let path = NormalizedPath::new(&format!("/service-{}/orders/1", count / 2))?;
    let fields = HeaderMap::new();
    let find = move || {
        let ask = Ask {
            listener: None,
            method: &Method::GET,
            host: "api.example.com",
            path: &path,
            query: None,
            fields: &fields,
            client: None,
        };
        table.find(black_box(&ask))
    };
    if !matches!(find(), Found::Route(..)) {
        return Err(anyhow!("no route of {count} wins"));
    }
    Ok(Part::new(format!("route match, 1 of {count}"), move || drop(black_box(find()))))
}

/// Routes for one host that differ in the first segment.
pub(crate) fn routes(count: usize) -> String {
    let route = |n| {
        format!(
            "[routes.r{n}]\nmatch = \"api.example.com/service-{n}/{{*rest}}\"\nrespond = {{ status = 204 }}\n"
        )
    };
    (0..count).map(route).collect()
}

/// The checked configuration of a text.
pub(crate) fn configured(text: &str) -> Result<Config> {
    let loaded = edgewit_config::load_text("bench", text, std::path::Path::new("."));
    Ok(loaded.map_err(|report| anyhow!("{report:?}"))?.config)
}
