//! The program under test, and what came of running it.

use std::{
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};

use crate::{cargo, wait::within};

/// The `edgewit` of the profile that the tests were built in.
///
/// Built with the whole workspace selected, and beside the tests where they have been built, so that its dependencies have
/// the features that they have in the tests: some come with dependencies of tests alone. Nothing is compiled twice.
pub fn path() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let folder = cargo::profile_dir();
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("debug");
        match name {
            "debug" => cargo::build(&["--workspace", "--bin", "edgewit", "--test", "suite"]),
            name => cargo::build(&["--workspace", "--bin", "edgewit", "--profile", name]),
        }
        folder.join("edgewit")
    };
    PROGRAM.get_or_init(build).clone()
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said beside that.
    pub stderr: String,
}

impl Outcome {
    /// What it printed, if it went well.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// What it said, if it failed.
    #[track_caller]
    pub fn failed(self) -> String {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        self.stderr
    }
}

/// How long a command may take: one of them builds a filter with all it depends on.
const COMMAND: Duration = Duration::from_secs(600);

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Outcome {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = Guard(child.expect("the program can be started"));
    let stdout = read(child.0.stdout.take());
    let stderr = read(child.0.stderr.take());
    let what = || format!("the end of {command:?}");
    let status = within(COMMAND, what, || child.0.try_wait().expect("a child can be waited for"));
    let text = |reader: thread::JoinHandle<String>| reader.join().expect("reading does not panic");
    Outcome { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Kills its process, and no other, when it is dropped.
pub(crate) struct Guard(pub(crate) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}

fn read(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
