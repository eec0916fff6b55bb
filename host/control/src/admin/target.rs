//! What does a request to the administration endpoint want?

use edgewit_model::PluginName;
use http::{Method, StatusCode};

use super::page::Problem;

/// A page to read, or something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Read(Page),
    Write(Write),
}

/// What can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Page {
    /// Is the process alive?
    Live,
    /// Should it get traffic?
    Ready,
    Metrics,
    Status,
    Events,
    Plugins,
    Plugin(PluginName),
    Versions(PluginName),
}

/// What can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Write {
    Reload,
    Upload(PluginName),
    Swap(PluginName),
    Rollback(PluginName),
    Disable(PluginName),
    Enable(PluginName),
}

impl Write {
    /// Which plugin it is about; `None`: all.
    pub(super) fn plugin(&self) -> Option<&PluginName> {
        match self {
            Write::Reload => None,
            Write::Upload(plugin)
            | Write::Swap(plugin)
            | Write::Rollback(plugin)
            | Write::Disable(plugin)
            | Write::Enable(plugin) => Some(plugin),
        }
    }
}

const KNOWN: &str = "/livez, /readyz, /metrics, /v1/status, /v1/events, /v1/reload, /v1/plugins, /v1/plugins/{name}, \
                     /v1/plugins/{name}/versions, /v1/plugins/{name}:swap, :rollback, :disable, :enable";

impl Target {
    /// A change is never made by GET, nor is anything read by POST.
    pub(super) fn parse(method: &Method, path: &str) -> Result<Self, Problem> {
        let (read, write) = resource(path);
        let reads = *method == Method::GET || *method == Method::HEAD;
        match (read, write) {
            (Some(page), _) if reads => Ok(Target::Read(page)),
            (_, Some(write)) if *method == Method::POST => Ok(Target::Write(write)),
            (None, None) => Err(Problem::new(StatusCode::NOT_FOUND, format!("there are {KNOWN}"))),
            (read, write) => {
                let allow = match (read.is_some(), write.is_some()) {
                    (true, true) => "GET, HEAD, POST",
                    (true, false) => "GET, HEAD",
                    (false, _) => "POST",
                };
                let detail = format!("only {allow} here");
                Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).allow(allow))
            }
        }
    }
}

/// What a path can be read as, and what can be done there.
fn resource(path: &str) -> (Option<Page>, Option<Write>) {
    let page = match path {
        "/livez" => Page::Live,
        "/readyz" => Page::Ready,
        "/metrics" => Page::Metrics,
        "/v1/status" => Page::Status,
        "/v1/events" => Page::Events,
        "/v1/plugins" => Page::Plugins,
        "/v1/reload" => return (None, Some(Write::Reload)),
        other => {
            let plugin = other.strip_prefix("/v1/plugins/").and_then(plugin);
            return plugin.unwrap_or_default();
        }
    };
    (Some(page), None)
}

fn plugin(rest: &str) -> Option<(Option<Page>, Option<Write>)> {
    if let Some(name) = rest.strip_suffix("/versions") {
        let name = PluginName::new(name).ok()?;
        return Some((Some(Page::Versions(name.clone())), Some(Write::Upload(name))));
    }
    let Some((name, verb)) = rest.split_once(':') else {
        return Some((Some(Page::Plugin(PluginName::new(rest).ok()?)), None));
    };
    let name = PluginName::new(name).ok()?;
    let write = match verb {
        "swap" => Write::Swap(name),
        "rollback" => Write::Rollback(name),
        "disable" => Write::Disable(name),
        "enable" => Write::Enable(name),
        _ => return None,
    };
    Some((None, Some(write)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_and_changing_are_told_apart_by_method_and_path() {
        let name = || PluginName::new("jwt").unwrap();
        let cases = [
            ("GET", "/livez", Ok(Target::Read(Page::Live))),
            ("HEAD", "/v1/status", Ok(Target::Read(Page::Status))),
            ("GET", "/v1/plugins/jwt", Ok(Target::Read(Page::Plugin(name())))),
            ("GET", "/v1/plugins/jwt/versions", Ok(Target::Read(Page::Versions(name())))),
            ("POST", "/v1/plugins/jwt/versions", Ok(Target::Write(Write::Upload(name())))),
            ("POST", "/v1/plugins/jwt:swap", Ok(Target::Write(Write::Swap(name())))),
            ("POST", "/v1/plugins/jwt:rollback", Ok(Target::Write(Write::Rollback(name())))),
            ("POST", "/v1/reload", Ok(Target::Write(Write::Reload))),
            ("GET", "/v1/plugins/jwt:swap", Err(405)),
            ("GET", "/v1/reload", Err(405)),
            ("HEAD", "/v1/plugins/jwt:disable", Err(405)),
            ("PUT", "/v1/plugins/jwt:swap", Err(405)),
            ("OPTIONS", "/v1/plugins/jwt:swap", Err(405)),
            ("POST", "/v1/plugins", Err(405)),
            ("POST", "/v1/status", Err(405)),
            ("POST", "/v1/plugins/jwt:explode", Err(404)),
            ("POST", "/v1/plugins/J!:swap", Err(404)),
            ("POST", "/v1/plugins/a/b:swap", Err(404)),
            ("GET", "/v1/plugins/", Err(404)),
            ("GET", "/v1/plugins/../status", Err(404)),
            ("GET", "/nothing", Err(404)),
        ];
        for (method, path, expected) in cases {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let found = Target::parse(&method, path).map_err(|problem| problem.status());
            assert_eq!(found, expected, "{method} {path}");
        }
    }
}
