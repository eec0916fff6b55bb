//! Compiling in a process of its own: a bomb kills that process and nothing else.
//!
//! Protocol: the parent writes a frame with the [`Job`] as JSON and a frame with the component to the child's standard
//! input; the child writes a frame with a [`Reply`] as JSON and, if it succeeded, a frame with the native code. A frame is
//! its length as eight bytes, little endian, and its bytes.

use std::{
    ffi::OsString,
    fmt,
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};
use serde::{Deserialize, Serialize};

use crate::{
    compile::{self, Compiled, CompiledFacts, Job},
    load::LoadError,
};

/// Processor time, in seconds.
const CPU_SECONDS: u64 = 30;
/// How much less urgent than the server it is: traffic comes first, and yet it gets a tenth of a processor that somebody else
/// wants all of, so that a swap comes to its end on a busy machine, too.
const NICE: i32 = 10;
/// Private writable memory, in bytes. (Reserved address space does not count, so this is RLIMIT_DATA and not RLIMIT_AS.)
const DATA_BYTES: u64 = 1 << 30;
/// Time by the clock: other processes may have the processor.
const WALL: Duration = Duration::from_secs(90);
/// For a process that has closed its output to end.
const LAST_BREATH: Duration = Duration::from_secs(5);
/// Longest frame that either side accepts, in bytes.
const MAX_FRAME: u64 = 512 << 20;
/// Bytes of the most compiled components.
const USUAL_FRAME: usize = 4 << 20;
/// Bytes of the length that is before a frame.
const LENGTH: usize = 8;
/// Somebody else may kill it once: the kernel that needs memory, or an operator who mistakes it for something else.
const TRIES: usize = 2;

#[derive(Serialize, Deserialize)]
enum Reply {
    Compiled(Box<CompiledFacts>),
    Refused(LoadError),
}

/// Why a child has given no answer.
enum Failure {
    /// Its limits ended it, or it ended itself.
    Ended(String),
    /// Somebody killed it.
    Killed,
    /// It could not even be started.
    NotStarted(io::Error),
}

/// Has a component compiled by a child process within limits.
pub(crate) fn compile(
    program: &Path,
    args: &[OsString],
    job: &Job,
    bytes: &[u8],
) -> Result<Compiled, LoadError> {
    let mut answer = attempt(program, args, job, bytes);
    for _ in 1..TRIES {
        let Err(Failure::Killed) = answer else { break };
        tracing::warn!(plugin = job.plugin, "somebody killed the compiler process, trying again");
        answer = attempt(program, args, job, bytes);
    }
    match answer {
        Ok((Reply::Compiled(facts), artefact)) => {
            Ok(Compiled { facts: *facts, artefact: artefact.into() })
        }
        Ok((Reply::Refused(error), _)) => Err(error),
        Err(Failure::Ended(detail)) => Err(LoadError::Compile { detail }),
        Err(Failure::Killed) => {
            Err(LoadError::Host { detail: "somebody killed the compiler process".to_owned() })
        }
        Err(Failure::NotStarted(e)) => {
            Err(LoadError::Host { detail: format!("compiler process: {e}") })
        }
    }
}

fn attempt(
    program: &Path,
    args: &[OsString],
    job: &Job,
    bytes: &[u8],
) -> Result<(Reply, Vec<u8>), Failure> {
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        // mimalloc, if it is the allocator, would commit a GiB ahead, which counts as memory that can be written.
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Failure::NotStarted)?;
    thread::scope(|scope| {
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let mut stderr = child.stderr.take();
        // A child that dies early breaks this pipe; why it died is told by its status.
        scope.spawn(move || stdin.map(|pipe| send_job(pipe, job, bytes)));
        let words = scope.spawn(move || stderr.as_mut().map(last_words).unwrap_or_default());
        let (done, finished) = mpsc::channel();
        scope.spawn(move || done.send(stdout.map(receive)));
        let answer = match finished.recv_timeout(WALL) {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let why = answer.as_ref().err().map(io::Error::kind);
        // One that has closed its output is about to end, and its status says why. Anything else without an answer is ended.
        let ends = why == Some(io::ErrorKind::UnexpectedEof) && ends_by_itself(&mut child);
        if why.is_some() && !ends {
            let _ = child.kill();
        }
        let status = child.wait();
        let words = words.join().unwrap_or_default();
        answer.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => {
                Failure::Ended(format!("it took longer than {} s", WALL.as_secs()))
            }
            _ if ends => failure(status, &words),
            _ => Failure::Ended(format!("the compiler process answered nonsense: {error}{words}")),
        })
    })
}

/// Whether it does, soon.
fn ends_by_itself(child: &mut Child) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < LAST_BREATH {
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    false
}

/// What the end of a child without an answer means.
fn failure(status: io::Result<ExitStatus>, words: &str) -> Failure {
    let ended = |how: &dyn fmt::Display| {
        Failure::Ended(format!("the compiler process ended: {how}{words}"))
    };
    let status = match status {
        Ok(status) => status,
        Err(error) => return ended(&error),
    };
    match status.signal().and_then(Signal::from_named_raw) {
        Some(Signal::KILL) => Failure::Killed,
        Some(Signal::XCPU) => {
            Failure::Ended(format!("it used up its {CPU_SECONDS} s of processor time"))
        }
        _ => ended(&status),
    }
}

fn send_job(mut pipe: impl Write, job: &Job, bytes: &[u8]) -> io::Result<()> {
    write_frame(&mut pipe, &serde_json::to_vec(job)?)?;
    write_frame(&mut pipe, bytes)?;
    pipe.flush()
}

fn receive(mut pipe: impl Read) -> io::Result<(Reply, Vec<u8>)> {
    let reply = serde_json::from_slice(&read_frame(&mut pipe)?)?;
    let artefact = match reply {
        Reply::Compiled(_) => read_frame(&mut pipe)?,
        Reply::Refused(_) => Vec::new(),
    };
    Ok((reply, artefact))
}

/// The beginning of what the child wrote to standard error, on one line; the rest is read and dropped.
fn last_words(pipe: &mut impl Read) -> String {
    let mut text = Vec::new();
    let _ = pipe.take(4 << 10).read_to_end(&mut text);
    let _ = io::copy(pipe, &mut io::sink());
    let text = String::from_utf8_lossy(&text);
    let line: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).take(3).collect();
    if line.is_empty() { String::new() } else { format!(": {}", line.join(" | ")) }
}

/// The whole life of the child process: limits itself, reads a job, answers.
pub fn compile_worker() -> ExitCode {
    let done = limit_self().and_then(|()| work(io::stdin().lock(), io::stdout().lock()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn limit_self() -> io::Result<()> {
    // Threads that are made later inherit it.
    nice(NICE)?;
    // Nobody waits for the answer once the server is gone.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let limit = |resource, value, hard| {
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(hard) })
    };
    // The first says what it is about, by a signal of its own; the second does not ask.
    limit(Resource::Cpu, CPU_SECONDS, CPU_SECONDS + 1)?;
    limit(Resource::Data, DATA_BYTES, DATA_BYTES)?;
    limit(Resource::Core, 0, 0)?;
    // No file is written here; the images of memories are files to the kernel, in memory.
    limit(Resource::Fsize, DATA_BYTES, DATA_BYTES)?;
    Ok(())
}

fn work(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let job: Job = serde_json::from_slice(&read_frame(&mut input)?)?;
    let bytes = read_frame(&mut input)?;
    let (reply, artefact) = match compile::compile(&job, &bytes) {
        Ok(Compiled { facts, artefact }) => (Reply::Compiled(Box::new(facts)), Some(artefact)),
        Err(error) => (Reply::Refused(error), None),
    };
    write_frame(&mut output, &serde_json::to_vec(&reply)?)?;
    if let Some(artefact) = artefact {
        write_frame(&mut output, &artefact)?;
    }
    output.flush()
}

pub(crate) fn write_frame(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&(bytes.len() as u64).to_le_bytes())?;
    to.write_all(bytes)
}

pub(crate) fn read_frame(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; LENGTH];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
    }
    // As it says, but not more on its word alone than what most have.
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).min(USUAL_FRAME));
    from.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// The first frame of some bytes, and what follows it.
pub(crate) fn split_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_whole_or_not_at_all() {
        let mut pipe = Vec::new();
        write_frame(&mut pipe, b"hello").unwrap();
        assert_eq!(read_frame(&mut pipe.as_slice()).unwrap(), b"hello");
        for cut in 0..pipe.len() {
            assert!(read_frame(&mut &pipe[..cut]).is_err(), "cut at {cut}");
            assert_eq!(split_frame(&pipe[..cut]), None, "cut at {cut}");
        }
        write_frame(&mut pipe, b"more").unwrap();
        let (first, rest) = split_frame(&pipe).unwrap();
        assert_eq!(
            (first, split_frame(rest)),
            (b"hello".as_slice(), Some((b"more".as_slice(), b"".as_slice())))
        );
        let huge = (MAX_FRAME + 1).to_le_bytes();
        assert!(read_frame(&mut huge.as_slice()).is_err());
    }
}
