use std::{fs, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// Listener and administration on free ports, and a folder for everything.
const HEAD: &str = r#"
    server = { drain-delay = "0ms", drain-timeout = "5s", instances = 2 }
    admin.listen = "127.0.0.1:0"
    [listeners.web]
    listen = "127.0.0.1:0"
"#;

pub(super) fn route(name: &str, body: &str) -> String {
    format!("[routes.{name}]\nmatch = '/{name}'\nrespond = {{ status = 200, body = '{body}' }}\n")
}

pub(super) struct Site {
    pub(super) folder: tempfile::TempDir,
}

impl Site {
    pub(super) fn new(routes: &str) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        site.write(routes);
        site
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("edgewit.toml")
    }

    pub(super) fn write(&self, routes: &str) {
        fs::write(self.config(), format!("{HEAD}{routes}")).unwrap();
    }

    pub(super) async fn start(&self, watch_config: bool) -> Result<Running, StartError> {
        let options =
            Options { watch_config, compiler: Some(Compiler::InProcess), ..Options::default() };
        Server::load(Source::File(self.config()), options)?.start(None).await
    }
}

/// Status line and body of the answer of a server to `GET path`.
async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let ask = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(DEADLINE, ask).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

pub(super) async fn body(running: &Running, path: &str) -> String {
    get(web(running), path).await.1
}

fn web(running: &Running) -> SocketAddr {
    running.address(&ListenerName::new("web").unwrap()).unwrap()
}

#[tokio::test]
async fn a_reload_goes_live_whole_or_not_at_all() {
    let site = Site::new(&route("a", "one"));
    let running = site.start(false).await.unwrap();
    let address = web(&running);
    assert_eq!(body(&running, "/a").await, "one");
    assert_eq!(running.status().generation, 1);

    site.write(&(route("a", "two") + &route("b", "new")));
    let changed = running.reload().await.unwrap();
    assert_eq!(
        (changed.generation, changed.changed),
        (2, vec!["~routes.a".into(), "+routes.b".into()])
    );
    assert_eq!(web(&running), address, "the socket stays");
    assert_eq!(
        (body(&running, "/a").await, body(&running, "/b").await),
        ("two".into(), "new".into())
    );

    site.write(&(route("a", "three") + "[routes.c]\nmatch = '/c'\nupstream = 'nobody'"));
    let error = running.reload().await.unwrap_err();
    assert!(error.to_string().contains("E0202"), "{error}");
    assert_eq!(body(&running, "/a").await, "two");
    let last = running.status().last_reload.unwrap();
    assert!(!last.successful && last.diagnostics.has_errors());
    assert!(running.metrics().text().contains("edgewit_config_last_reload_successful 0"));

    let (status, page) = get(running.admin().unwrap(), "/v1/status").await;
    assert!(status.contains("200") && page.contains("E0202") && page.contains("\"generation\": 2"));
}

#[tokio::test]
async fn a_changed_file_is_noticed() {
    let site = Site::new(&route("a", "one"));
    let running = site.start(true).await.unwrap();
    site.write(&route("a", "two"));
    until(async || body(&running, "/a").await == "two").await;
}

async fn until(holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap();
}

#[tokio::test]
async fn what_a_refused_configuration_includes_is_watched() {
    let site = Site::new(&route("a", "one"));
    let running = site.start(true).await.unwrap();
    let more = site.folder.path().join("more.toml");
    fs::write(&more, "[routes.b").unwrap();
    let main = format!("include = ['more.toml']\n{HEAD}{}", route("a", "two"));
    fs::write(site.config(), main).unwrap();
    let admin = running.admin().unwrap();
    until(async || get(admin, "/v1/status").await.1.contains("more.toml")).await;
    assert_eq!(body(&running, "/a").await, "one");
    fs::write(&more, route("b", "three")).unwrap();
    until(async || body(&running, "/b").await == "three").await;
    assert_eq!(body(&running, "/a").await, "two");
}

#[tokio::test]
async fn a_route_with_a_plugin_that_cannot_be_loaded_refuses_the_start() {
    let site = Site::new(&route("a", "one"));
    let plugins = site.folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    fs::write(plugins.join("bad.wasm"), "no wasm").unwrap();
    // Nobody uses it yet: a warning is enough.
    let running = site.start(false).await.unwrap();
    let listed = running.versions().list();
    assert_eq!(listed[0].0.as_str(), "bad");
    assert_eq!(listed[0].1[0].reason.as_ref().unwrap().code, "E0401");

    site.write("[routes.a]\nmatch = '/a'\nfilters = ['bad']\nrespond = { status = 204 }");
    let refused = running.reload().await.unwrap_err().to_string();
    assert!(
        refused.contains("error[E0401]: `bad`") && refused.contains("edgewit.toml:"),
        "{refused}"
    );
    let error = site.start(false).await.err().unwrap();
    assert!(matches!(error, StartError::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_drain_says_so_and_ends() {
    let site = Site::new(&route("a", "one"));
    let running = site.start(false).await.unwrap();
    let (web, admin) = (web(&running), running.admin().unwrap());
    assert!(get(admin, "/readyz").await.0.contains("200"));
    let open = tokio::time::timeout(DEADLINE, running.drain()).await.unwrap();
    assert_eq!(open, 0);
    assert!(get(admin, "/readyz").await.0.contains("503"));
    assert!(TcpStream::connect(web).await.is_err());
    assert!(matches!(running.reload().await, Err(ChangeError::Draining)));
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let site = Site::new(&format!("[listeners.other]\nlisten = '{address}'"));
    let error = site.start(false).await.err().unwrap();
    let text = crate::error::chain(&error);
    assert!(text.contains(&address.to_string()), "{text}");
    assert!(Path::new(&site.config()).exists());
}
