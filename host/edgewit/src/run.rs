//! `edgewit run`: serve in the foreground.
//!
//! What stands on standard error before the log begins is for people and for whoever waits for the start: a line with the
//! version; for each listener, and for administration as `admin`, a line of two spaces, the name, spaces, and the URL with
//! the real port, such as `  http   http://127.0.0.1:43121`; then the line that begins with `ready in`. With `-o json`
//! all of that is one JSON object on one line of standard output. With `-q` there is none of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use edgewit_control::{Options, Running, Server, Source, StartError};
use edgewit_telemetry::Log;
use tokio::sync::Notify;

use crate::{
    cli::{self, Global},
    config,
    handover::Inherited,
    memory,
    screen::Screen,
    serve::{INTERRUPTED, serve, tell_ready},
    signals::{Signals, Wish},
    successor::Origins,
    systemd,
};

/// Serves until a signal ends it.
pub(crate) fn run(global: &Global, options: &cli::Run, screen: Screen) -> anyhow::Result<ExitCode> {
    let inherited = Inherited::take()?;
    let source = config::find(global)?.unwrap_or(Source::Welcome);
    let origins = match source {
        Source::Text { .. } => None,
        Source::File(_) | Source::Welcome => Some(Origins::of_this_process()),
    };
    let greeting = greeting(&source);
    let overrides =
        edgewit_control::Overrides { listen: options.listen, ..config::overrides(global) };
    let welcome = matches!(source, Source::Welcome);
    let settings = Options {
        overrides,
        watch_config: options.watch,
        adopted: inherited.listeners,
        admin: inherited.admin,
        give_back: Some(memory::give_back),
        ..Options::default()
    };
    let server = match Server::load(source, settings) {
        Ok(server) => server,
        Err(report) => {
            config::show(&report, screen);
            return Ok(ExitCode::FAILURE);
        }
    };
    config::show(&server.warnings(), screen);
    let log = Log::init(&server.config().telemetry)?;
    let runtime = crate::runtime()?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let reload_wanted = Arc::new(Notify::new());
        let started = tokio::select! {
            started = server.start(Some(log)) => started,
            code = gives_up(&mut signals, &reload_wanted) => return Ok(code),
        };
        let running = match started {
            Ok(running) => Arc::new(running),
            Err(StartError::Refused(report)) => {
                config::show(&report, screen);
                return Ok(ExitCode::FAILURE);
            }
            Err(error) => return Err(error.into()),
        };
        let _pid_file = options.pid_file.as_deref().map(PidFile::write).transpose()?;
        announce(&running, &greeting, welcome, screen);
        tell_ready(inherited.predecessor)?;
        tokio::select! {
            code = serve(&running, &mut signals, origins.as_ref(), reload_wanted) => Ok(code),
            () = systemd::watchdog() => Ok(ExitCode::FAILURE), // it never ends
        }
    });
    // A plugin may be compiling; whoever ends the server does not want to wait for it.
    runtime.shutdown_background();
    ended
}

/// Waits for a signal that ends a server which does not serve yet.
async fn gives_up(signals: &mut Signals, reload_wanted: &Notify) -> ExitCode {
    loop {
        match signals.next().await {
            Wish::Reload => reload_wanted.notify_one(), // what was read may have changed since
            Wish::Upgrade => {}                         // this is the newest program anyway
            Wish::Drain => return ExitCode::SUCCESS,
            Wish::Interrupt => return ExitCode::from(INTERRUPTED),
        }
    }
}

fn greeting(source: &Source) -> String {
    let what = match source {
        Source::File(path) => path.display().to_string(),
        Source::Text { name, .. } => name.clone(),
        Source::Welcome => "no edgewit.toml here, serving the built-in welcome route".to_owned(),
    };
    format!("edgewit {} · {what}", env!("CARGO_PKG_VERSION"))
}

fn announce(running: &Running, greeting: &str, welcome: bool, screen: Screen) {
    let status = running.status();
    let mut urls: Vec<(String, String)> =
        status.listeners.iter().map(|(name, url)| (name.to_string(), url.clone())).collect();
    let first = urls.first().map(|(_, url)| url.clone()).unwrap_or_default();
    if screen.is_json() {
        let ready = serde_json::json!({
            "event": "ready",
            "version": status.version,
            "listeners": status.listeners,
            "admin": running.admin().map(|address| format!("http://{address}")),
            "summary": running.summary(),
        });
        return screen.data(ready.to_string());
    }
    urls.extend(running.admin().map(|address| ("admin".to_owned(), format!("http://{address}"))));
    let mut lines = vec![greeting.to_owned()];
    let width = urls.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    lines.extend(urls.iter().map(|(name, url)| format!("  {name:width$}  {url}")));
    if welcome {
        lines.push(format!("Try   curl -i {first}/"));
        lines.push("Next  edgewit plugin new hi    write a filter; this server picks it up when it lands in plugins/".to_owned());
    }
    lines.push(running.summary().to_string());
    screen.note(lines.join("\n"));
}

/// A file with the process id, there as long as this is.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> anyhow::Result<Self> {
        fs::write(path, format!("{}\n", std::process::id()))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self(path.to_path_buf()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let ours = format!("{}\n", std::process::id());
        // After an upgrade the file is that of the process which serves now.
        if fs::read_to_string(&self.0).is_ok_and(|text| text == ours) {
            let _ = fs::remove_file(&self.0); // somebody else may have tidied up
        }
    }
}
