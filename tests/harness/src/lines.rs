//! What a process writes, line by line.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use crate::wait::{until_or_tell, within};

/// How long the compiler process may take by the clock.
const COMPILER: Duration = Duration::from_secs(300);

/// The lines that a process has written so far.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Reads until the end, on a thread of its own.
    pub(crate) fn read(pipe: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let out = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                out.lock().push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        lines
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// The lines so far that contain all these texts.
    pub fn with(&self, texts: &[&str]) -> Vec<String> {
        let fits = |line: &&String| texts.iter().all(|text| line.contains(text));
        self.lock().iter().filter(fits).cloned().collect()
    }

    /// Waits for the first line that contains all these texts.
    #[track_caller]
    pub fn wait_for(&self, texts: &[&str]) -> String {
        let what = || format!("a line with {texts:?} in\n{}", self.all().join("\n"));
        until_or_tell(what, || self.with(texts).into_iter().next())
    }

    /// As [`Lines::wait_for`], for what the compiler process says: it has 30 s of processor time, and on a machine where others
    /// want all of it, it gets a tenth.
    #[track_caller]
    pub fn wait_for_compiler(&self, texts: &[&str]) -> String {
        let what = || format!("a line with {texts:?} in\n{}", self.all().join("\n"));
        within(COMPILER, what, || self.with(texts).into_iter().next())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
