//! How the kernel shares a core between a worker and the threads that do everything else.

#![expect(unsafe_code, reason = "no library asks the kernel for the length of turns")]

use std::{ffi::c_long, io};

use libc::sched_attr;

/// Nanoseconds that a worker wants at once when others want its core, too; the least that Linux grants.
const TURN: u64 = 100_000;
/// Policies of threads that share what is left by others fairly (`SCHED_OTHER`, `SCHED_BATCH`).
const FAIR: [u32; 2] = [0, 3];

/// Asks for short turns for this thread. From Linux 6.12 on, whoever wants short turns comes first when it wakes up: a
/// request need not wait for milliseconds until a thread that loads a plugin has had its own. The share of the core stays
/// what it is. Elsewhere, and where somebody has given the thread another policy, nothing happens.
pub(crate) fn shorten() {
    set(TURN);
}

/// Takes turns of the usual length, whatever the thread had that began this one.
pub(crate) fn lengthen() {
    set(0);
}

fn set(turn: u64) {
    if let Err(error) = try_set(turn) {
        tracing::debug!(%error, "a thread keeps turns of the length that it had");
    }
}

fn try_set(turn: u64) -> io::Result<()> {
    let mut attributes = attributes()?;
    if FAIR.contains(&attributes.sched_policy) {
        attributes.sched_runtime = turn;
        // SAFETY: the kernel reads a structure that says its own size; 0 is this thread, and there are no flags.
        done(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) })?;
    }
    Ok(())
}

/// How this thread is scheduled now (`sched_setattr(2)`).
fn attributes() -> io::Result<sched_attr> {
    let size = size_of::<sched_attr>();
    let mut attributes = sched_attr {
        size: u32::try_from(size).map_err(io::Error::other)?,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel writes at most so many bytes into a structure that has them.
    done(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) })?;
    Ok(attributes)
}

fn done(result: c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel may be too old to keep it; it must never be something else than before or what was asked for.
    #[test]
    fn turns_are_shortened_and_nothing_else_is_changed() {
        let before = attributes().unwrap();
        shorten();
        let after = attributes().unwrap();
        assert_eq!(after.sched_policy, before.sched_policy);
        assert_eq!(after.sched_nice, before.sched_nice);
        assert!([before.sched_runtime, TURN].contains(&after.sched_runtime), "{after:?}");
        let inherited = std::thread::spawn(|| {
            lengthen();
            attributes().unwrap()
        });
        assert_eq!(inherited.join().unwrap().sched_runtime, before.sched_runtime);
    }
}
