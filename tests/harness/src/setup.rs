//! A folder with a configuration and plugins, before it is started.

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use command_fds::{CommandFdExt, FdMapping};
use tempfile::TempDir;

use crate::{Gateway, Outcome, artifact, cargo, program};

/// A folder with a configuration and plugins.
///
/// Listeners and administration get free ports of loopback, and the access log goes to standard output. All tests of a
/// process share the compiled plugins, unless one asks for its own.
pub struct Setup {
    folder: TempDir,
    body: String,
    listeners: String,
    server: String,
    limits: String,
    state: PathBuf,
    arguments: Vec<String>,
    program: PathBuf,
    variables: Vec<(String, String)>,
    passed: Option<OwnedFd>,
}

impl Setup {
    /// `toml` is the configuration without `server`, `admin`, `limits` and `listeners`.
    pub fn new(toml: impl Into<String>) -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        fs::create_dir(folder.path().join("plugins")).expect("the folder is empty");
        Self {
            folder,
            body: toml.into(),
            listeners: "[listeners.web]\nlisten = \"127.0.0.1:0\"\n".to_owned(),
            server: "workers = 2\ndrain-delay = \"50ms\"\n".to_owned(),
            limits: NO_HURRY.to_owned(),
            state: shared_state(),
            arguments: Vec::new(),
            program: PathBuf::new(),
            variables: Vec::new(),
            passed: None,
        }
    }

    /// Puts a guest into the plugin folder under its own name.
    #[must_use]
    pub fn guest(self, name: &str) -> Self {
        self.guest_as(name, name)
    }

    /// Puts a guest into the plugin folder under another name.
    #[must_use]
    pub fn guest_as(self, name: &str, plugin: &str) -> Self {
        fs::copy(artifact::guest(name), self.plugin(plugin)).expect("a plugin can be copied");
        self
    }

    /// Puts a maintained filter into the plugin folder.
    #[must_use]
    pub fn maintained(self, name: &str) -> Self {
        fs::copy(artifact::maintained(name), self.plugin(name)).expect("a plugin can be copied");
        self
    }

    /// Writes a file of the folder.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.path().join(name), content).expect("a file can be written");
        self
    }

    /// Other listeners than the one named `web`.
    #[must_use]
    pub fn listeners(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.listeners);
        self
    }

    /// Other keys of `[server]`.
    #[must_use]
    pub fn server(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.server);
        self
    }

    /// Other keys of `[limits]` than [`NO_HURRY`].
    #[must_use]
    pub fn limits(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.limits);
        self
    }

    /// Shares compiled plugins with nobody.
    #[must_use]
    pub fn own_state(mut self) -> Self {
        self.state = self.path().join("state");
        self
    }

    /// A further argument of `edgewit run`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Another program than the one under test: a link to it, say, or a wrapper. Relative to the folder.
    #[must_use]
    pub fn program(mut self, path: &str) -> Self {
        self.program = self.path().join(path);
        self
    }

    /// A variable of the environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Passes a descriptor as number 3, as systemd does.
    #[must_use]
    pub fn pass(mut self, fd: impl Into<OwnedFd>) -> Self {
        self.passed = Some(fd.into());
        self
    }

    /// `edgewit run` with the arguments and the environment of this setup.
    pub(crate) fn command(&self) -> Command {
        let own = !self.program.as_os_str().is_empty();
        let program = if own { self.program.clone() } else { program::path() };
        let mut command = Command::new(program);
        command.args(["run", "--output", "json"]).args(&self.arguments);
        command.envs(self.variables.iter().cloned()).current_dir(self.path());
        if let Some(fd) = &self.passed {
            let parent_fd = fd.try_clone().expect("a descriptor can be duplicated");
            let mapping = FdMapping { parent_fd, child_fd: 3 };
            command.fd_mappings(vec![mapping]).expect("there is one");
        }
        command
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The file of a plugin.
    pub fn plugin(&self, name: &str) -> PathBuf {
        self.path().join("plugins").join(format!("{name}.wasm"))
    }

    /// The file of the configuration.
    pub fn config(&self) -> PathBuf {
        self.path().join("edgewit.toml")
    }

    /// Where compiled plugins are kept.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The whole configuration with another body.
    pub fn toml(&self, body: &str) -> String {
        let Self { server, listeners, limits, state, .. } = self;
        let state = state.display();
        format!(
            "{body}\n[admin]\nlisten = \"127.0.0.1:0\"\n[limits]\n{limits}\n\
             [server]\nstate-dir = \"{state}\"\n{server}\n{listeners}"
        )
    }

    /// Writes the configuration as it is now.
    pub fn write(&self) {
        fs::write(self.config(), self.toml(&self.body)).expect("a file can be written");
    }

    /// Runs a command of `edgewit` in the folder.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.write();
        program::run(Command::new(program::path()).args(arguments).current_dir(self.path()))
    }

    /// Starts the gateway and waits until it serves.
    pub fn start(self) -> Gateway {
        self.write();
        Gateway::start(self)
    }
}

/// Time that no honest filter exceeds, however busy the machine is that runs the tests.
pub const NO_HURRY: &str = "time = \"10s\"\ninstantiate-time = \"10s\"\nconfigure-time = \"30s\"";

/// Compiled plugins of this run of the tests. What earlier runs left is removed: the code that made it may have been
/// another one.
fn shared_state() -> PathBuf {
    static STATE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let runs = cargo::target_dir().join("tests");
        let earlier = fs::read_dir(&runs).into_iter().flatten().flatten().map(|entry| entry.path());
        for run in earlier.filter(|run| !is_running(run)) {
            let _ = fs::remove_dir_all(run); // another process may do the same
        }
        let mine = runs.join(std::process::id().to_string());
        let _ = fs::remove_dir_all(&mine); // left by a process with the same id
        fs::create_dir_all(&mine).expect("the target folder can be written");
        mine
    };
    STATE.get_or_init(make).clone()
}

/// Folders are named after processes.
fn is_running(run: &Path) -> bool {
    run.file_name().is_some_and(|id| Path::new("/proc").join(id).exists())
}
