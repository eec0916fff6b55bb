//! Sockets that were open before this process was: those of systemd, or those of the process whose place it takes.
//!
//! systemd passes them as sd_listen_fds(3) says. A process that is replaced says in one variable which descriptor is what,
//! because it cannot know the process id that systemd's protocol wants.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write},
    net::TcpListener,
    os::fd::{FromRawFd, OwnedFd, RawFd},
};

use anyhow::{Context as _, bail};
use edgewit_control::Adopted;
use edgewit_model::ListenerName;
use rustix::io::{FdFlags, fcntl_setfd};

/// Which descriptor is what, a line for each, such as `3=listener:web`, `4=admin` and `5=ready`. A socket of systemd is
/// followed by its name there, `3=listener:web:front`, which is free of colons and line ends (systemd.socket(5)).
const VARIABLE: &str = "EDGEWIT_HANDOVER";
/// What the new process writes when it serves.
pub(crate) const READY: &[u8] = b"ready";
/// The first descriptor behind the three that every process has.
pub(crate) const FIRST: RawFd = 3;
/// What the socket of administration is called.
const ADMIN: &str = "admin";
/// What the way back is called.
const WAY_BACK: &str = "ready";
const LISTENER: &str = "listener:";

/// What this process was given.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// Sockets for the listeners.
    pub(crate) listeners: Vec<Adopted>,
    /// The socket of administration.
    pub(crate) admin: Option<TcpListener>,
    /// The process whose place this one takes.
    pub(crate) predecessor: Option<Predecessor>,
}

/// A process that serves until this one does.
#[derive(Debug)]
pub(crate) struct Predecessor(File);

/// A socket for the process that takes the place of this one.
#[derive(Debug)]
pub(crate) enum Handed {
    Listener(Adopted),
    Admin(OwnedFd),
    WayBack(OwnedFd),
}

impl Inherited {
    /// Takes what is there. Called once, before anything else is opened.
    pub(crate) fn take() -> anyhow::Result<Self> {
        match std::env::var(VARIABLE) {
            Ok(text) => Self::of_predecessor(&text).with_context(|| format!("`{VARIABLE}={text}`")),
            Err(_) => Self::of_systemd().context("the sockets of systemd cannot be taken"),
        }
    }

    fn of_predecessor(text: &str) -> anyhow::Result<Self> {
        let mut found = Self::default();
        for (fd, what) in parse(text)? {
            let fd = own(fd)?;
            match what.strip_prefix(LISTENER) {
                Some(names) => found.listeners.push(adopted(names, fd)?),
                None if what == ADMIN => found.admin = Some(listening(fd)?),
                None if what == WAY_BACK => found.predecessor = Some(Predecessor(fd.into())),
                None => bail!("`{what}` is nothing that is handed over"),
            }
        }
        Ok(found)
    }

    fn of_systemd() -> anyhow::Result<Self> {
        let mut found = Self::default();
        for (fd, name) in sd_notify::listen_fds_with_names()? {
            let socket = listening(own(fd)?)?;
            found.listeners.push(Adopted { name: Some(name), listener: None, socket });
        }
        Ok(found)
    }
}

impl Predecessor {
    /// Tells it that this process serves.
    pub(crate) fn serves(mut self) -> io::Result<()> {
        self.0.write_all(READY)
    }
}

impl Handed {
    fn is_called(&self) -> String {
        match self {
            Self::Listener(Adopted { name, listener, .. }) => {
                let listener = listener.as_ref().map_or("", |name| name.as_str());
                let name = name.iter().map(|name| format!(":{name}")).collect::<String>();
                format!("{LISTENER}{listener}{name}")
            }
            Self::Admin(_) => ADMIN.to_owned(),
            Self::WayBack(_) => WAY_BACK.to_owned(),
        }
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        match self {
            Self::Listener(adopted) => adopted.socket.into(),
            Self::Admin(fd) | Self::WayBack(fd) => fd,
        }
    }
}

/// The variable that tells a new process what it was given.
pub(crate) fn variable(handed: &[Handed]) -> (&'static str, OsString) {
    let word = |(fd, handed): (RawFd, &Handed)| format!("{fd}={}", handed.is_called());
    let words: Vec<_> = (FIRST..).zip(handed).map(word).collect();
    (VARIABLE, words.join("\n").into())
}

fn parse(text: &str) -> anyhow::Result<Vec<(RawFd, &str)>> {
    let word = |word: &'_ str| -> anyhow::Result<(RawFd, usize)> {
        let at = word.find('=').context("a word has no `=`")?;
        let fd = word.get(..at).unwrap_or_default().parse().context("no descriptor")?;
        if fd < FIRST {
            bail!("descriptor {fd} is one of the usual three");
        }
        Ok((fd, at))
    };
    let words = text.split('\n').filter(|text| !text.is_empty());
    words
        .map(|text| word(text).map(|(fd, at)| (fd, text.get(at + 1..).unwrap_or_default())))
        .collect()
}

/// `names`: that of the listener, and behind a colon the one that systemd gave, if it did.
fn adopted(names: &str, fd: OwnedFd) -> anyhow::Result<Adopted> {
    let (listener, name) = match names.split_once(':') {
        Some((listener, name)) => (listener, Some(name.to_owned())),
        None => (names, None),
    };
    let listener = Some(ListenerName::new(listener)?);
    Ok(Adopted { name, listener, socket: listening(fd)? })
}

fn listening(fd: OwnedFd) -> anyhow::Result<TcpListener> {
    let socket = TcpListener::from(fd);
    socket.local_addr().context("a descriptor that was passed is no TCP socket")?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Takes a descriptor that was open when this process began, and keeps it from those that this process starts.
fn own(fd: RawFd) -> anyhow::Result<OwnedFd> {
    if !std::path::Path::new("/proc/self/fd").join(fd.to_string()).exists() {
        bail!("descriptor {fd} is not open");
    }
    // SAFETY: it is open, and it belongs to nobody else in this process: whoever started us passed it for this use, and this
    // happens once, before anything else is opened.
    #[expect(unsafe_code, reason = "a descriptor comes from outside as a number")]
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_is_told_and_understood() {
        let fd = || OwnedFd::from(File::open("/dev/null").unwrap());
        let listener = |name: Option<&str>| {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            let listener = Some(ListenerName::new("web").unwrap());
            Handed::Listener(Adopted { name: name.map(str::to_owned), listener, socket })
        };
        let handed = [
            listener(None),
            listener(Some("front, door")),
            Handed::Admin(fd()),
            Handed::WayBack(fd()),
        ];
        let (_, text) = variable(&handed);
        let text = text.into_string().unwrap();
        let expected = ["listener:web", "listener:web:front, door", "admin", "ready"];
        assert_eq!(parse(&text).unwrap(), (3..).zip(expected).collect::<Vec<_>>());
        let socket = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
        let names = |text: &str| {
            let adopted = adopted(text, socket()).unwrap();
            (adopted.listener.unwrap().to_string(), adopted.name)
        };
        assert_eq!(names("web"), ("web".to_owned(), None));
        assert_eq!(names("web:front, door"), ("web".to_owned(), Some("front, door".to_owned())));
        assert!(adopted("", socket()).is_err());
        assert!(adopted("web", fd()).is_err(), "it is no socket");
    }

    #[test]
    fn nonsense_in_the_variable_is_an_error() {
        for text in ["3", "x=admin", "0=admin", "2=listener:web", "-1=admin", "99999999999=admin"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("").unwrap().is_empty());
        assert!(own(987_654).is_err(), "it is not open");
    }
}
