//! Endpoints that stand in a file of their own.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use edgewit_model as model;
use serde::Deserialize;
use tokio::{task::spawn_blocking, time::sleep};
use xxhash_rust::xxh3::xxh3_128;

use super::{Begun, Found, News, Variant, last_good::LAST_GOOD};
use crate::{
    background::Background,
    upstream::{Upstream, UpstreamError},
};

/// Endpoints that stand in a JSON file: `{"servers": ["http://10.0.0.11:8080", {"url": "...", "weight": 3}]}`. Its content
/// is looked at again and again, so it does not matter how it is replaced: written, renamed, or by a link that is turned
/// elsewhere, as Kubernetes does.
pub(super) const VARIANT: Variant = Variant { name: "file", begin };

/// How often the file is looked at. Reading a small file costs some microseconds.
const EVERY: Duration = Duration::from_secs(1);

/// Bytes that are read: room for a thousand endpoints with 4 KiB each.
const LARGEST: u64 = 4 << 20;

const MOST_WEIGHT: u32 = 65_535;

/// Why a file brings no endpoints.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("`{path}` cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` is larger than {LARGEST} bytes")]
    Size { path: PathBuf },
    #[error("`{path}` is no list of servers")]
    Json {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("`{path}` has `{url}`: {why}")]
    Server { path: PathBuf, url: String, why: &'static str },
    #[error("`{path}` has no server")]
    Empty { path: PathBuf },
    #[error("`{path}` has a server that cannot be used")]
    Endpoint {
        path: PathBuf,
        #[source]
        source: Box<UpstreamError>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    servers: Vec<Server>,
}

/// JSON keeps no places for messages, so unlike in our TOML nothing is lost by `untagged`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Server {
    Url(String),
    Weighted { url: String, weight: Option<u32> },
}

fn begin(upstream: &Arc<Upstream>, config: &model::Upstream) -> Begun {
    let Some(model::Discovery::File(path)) = &config.discovery else { return None };
    let mut seen = None;
    look(upstream, path, &mut seen);
    if upstream.news().is_old()
        && let Some((_, last)) = LAST_GOOD.get(&path.to_string_lossy())
    {
        let _ = upstream.found(&last); // told as a failure already
    }
    let path = path.clone();
    Background::spawn(upstream, |upstream| look_for_ever(upstream, path, seen));
    Some(Ok(()))
}

async fn look_for_ever(upstream: Weak<Upstream>, path: PathBuf, mut seen: Option<u128>) {
    loop {
        sleep(EVERY).await;
        let Some(upstream) = upstream.upgrade() else { return };
        let path = path.clone();
        let looked = spawn_blocking(move || {
            look(&upstream, &path, &mut seen);
            seen
        });
        let Ok(now) = looked.await else { return };
        seen = now;
    }
}

/// Takes the endpoints of the file over if it has another content than the one that was seen. A content that cannot be
/// used is told once, and what was before it stays.
fn look(upstream: &Arc<Upstream>, path: &Path, seen: &mut Option<u128>) {
    let news: &News = upstream.news();
    let read = read(path);
    let content = read.as_ref().map_or(UNREADABLE, |bytes| xxh3_128(bytes));
    if seen.replace(content) == Some(content) {
        return;
    }
    let found = read.and_then(|bytes| parse(path, &bytes)).and_then(|found| {
        let failed = |source| FileError::Endpoint { path: path.to_owned(), source };
        news.found(upstream, &found).map_err(|error| failed(Box::new(error)))?;
        LAST_GOOD.put(&path.to_string_lossy(), &found);
        Ok(())
    });
    if let Err(error) = found {
        news.failed(upstream, &error);
    }
}

/// Stands for the content of a file that cannot be read.
const UNREADABLE: u128 = 0;

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(FileError::Size { path: path.to_owned() }),
        false => Ok(bytes),
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Found>, FileError> {
    let failed = |source| FileError::Json { path: path.to_owned(), source };
    let list: List = serde_json::from_slice(bytes).map_err(failed)?;
    if list.servers.is_empty() {
        return Err(FileError::Empty { path: path.to_owned() });
    }
    let found = |server| {
        let (url, weight) = match server {
            Server::Url(url) => (url, 1),
            Server::Weighted { url, weight } => (url, weight.unwrap_or(1)),
        };
        let fits = (1..=MOST_WEIGHT).contains(&weight);
        let weight = if fits { Ok(weight) } else { Err("a weight is 1 to 65535") };
        let endpoint = weight.and_then(|weight| model::Endpoint::from_url(&url, weight));
        let wrong = |why| FileError::Server { path: path.to_owned(), url, why };
        endpoint.map(Found::plain).map_err(wrong)
    };
    list.servers.into_iter().map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(path: &Path) -> Arc<Upstream> {
        let name = model::UpstreamName::new("orders").unwrap();
        let mut config = model::Upstream::new(name, Vec::new());
        config.discovery = Some(model::Discovery::File(path.to_owned()));
        Upstream::new(&config).unwrap()
    }

    fn shown(upstream: &Upstream) -> String {
        let show = |e: &Arc<crate::Endpoint>| format!("{}:{}*{}", e.host(), e.port(), e.weight());
        upstream.endpoints().iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_last_good_content_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("servers.json");
        let upstream = upstream(&path);
        assert_eq!((shown(&upstream).as_str(), upstream.news().bad()), ("", 1));
        let mut seen = None;
        let mut check = |content: &str, expected: &str, bad: u64| {
            std::fs::write(&path, content).unwrap();
            look(&upstream, &path, &mut seen);
            look(&upstream, &path, &mut seen);
            assert_eq!(shown(&upstream), expected, "{content}");
            assert_eq!(upstream.news().bad(), bad, "{content}");
            assert_eq!(upstream.news().is_old(), bad > 1, "{content}");
        };
        check(
            r#"{"servers": ["http://a:81", {"url": "http://b", "weight": 3}]}"#,
            "a:81*1 b:80*3",
            1,
        );
        check(r#"{"servers": [{"url": "http://c"}]}"#, "c:80*1", 1);
        let bad = [
            "",
            "{",
            "[]",
            r#"{"servers": []}"#,
            r#"{"servers": ["c"]}"#,
            r#"{"servers": ["ftp://c"]}"#,
            r#"{"servers": [{"url": "http://c", "weight": 0}]}"#,
            r#"{"server": ["http://c"]}"#,
            r#"{"servers": [{"url": "http://c", "weigth": 2}, 7]}"#,
        ];
        for (count, content) in bad.iter().enumerate() {
            check(content, "c:80*1", count as u64 + 2);
        }
    }

    #[test]
    fn an_upstream_that_is_built_anew_begins_with_the_last_good_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("servers.json");
        std::fs::write(&path, r#"{"servers": ["http://a:81"]}"#).unwrap();
        assert_eq!(shown(&upstream(&path)), "a:81*1");
        std::fs::write(&path, "{").unwrap();
        let again = upstream(&path);
        assert_eq!((shown(&again).as_str(), again.news().is_old()), ("a:81*1", true));
    }

    #[test]
    fn a_server_with_tls_needs_authorities() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("servers.json");
        std::fs::write(&path, r#"{"servers": ["https://a"]}"#).unwrap();
        let upstream = upstream(&path);
        let is_set_up = upstream.tls().is_some(); // if this machine has a store of authorities
        assert_eq!(upstream.endpoints().len(), usize::from(is_set_up));
    }

    #[test]
    fn there_are_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("servers.json");
        let many: Vec<String> = (0..2_000).map(|n| format!("\"http://a:{}\"", n + 1)).collect();
        std::fs::write(&path, format!("{{\"servers\": [{}]}}", many.join(","))).unwrap();
        let upstream = upstream(&path);
        assert_eq!(upstream.endpoints().len(), super::super::MOST_ENDPOINTS);
        std::fs::write(&path, vec![b' '; (LARGEST + 1) as usize]).unwrap();
        look(&upstream, &path, &mut None);
        assert_eq!((upstream.endpoints().len(), upstream.news().bad()), (1_000, 1));
    }
}
