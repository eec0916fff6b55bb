//! What is in a plugin's file, read with care: the folder is open to every kind of mistake.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use edgewit_model::ByteSize;

use crate::Digest;

/// A component as it was in its file.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    /// Shared, since a version is kept with its bytes: it may have to be made anew for another configuration.
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) digest: Digest,
}

/// Why there is no component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// There is a symbolic link of that name, but nothing where it leads.
    #[error("it is a link that leads nowhere")]
    Dangling,
    /// Something else has that name.
    #[error("it is a {0}, not a file")]
    NotAFile(&'static str),
    /// Larger than the plugin's `limits.file-size`.
    #[error("the file has {size} bytes, more than {limit}")]
    TooLarge {
        /// What it has.
        size: u64,
        /// What it may have.
        limit: ByteSize,
    },
    /// The system says no.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// The file ends too early.
    #[error("the file is not complete: it ends after {size} bytes, in the middle of a section")]
    Incomplete {
        /// What it has so far.
        size: usize,
    },
    /// A core module.
    #[error("it is a core module, not a component; the SDKs make components")]
    CoreModule,
    /// Something else.
    #[error("it is no WebAssembly component")]
    NotWasm,
}

/// What changes when a file changes. Clocks may be set and files put back, so that only the digest decides whether there
/// is something new; the stamp says when it is worth looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of what a path leads to; symbolic links are followed.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::new(&std::fs::metadata(path)?))
    }

    fn new(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Component {
    /// Reads a file that may be anything.
    pub(crate) fn read(path: &Path, limit: ByteSize) -> Result<Self, FileError> {
        Self::of(read(path, limit)?, limit)
    }

    /// The same, with the stamp of the very file that was read: what the path leads to may be another one by now. No stamp:
    /// no file was opened.
    pub(crate) fn read_stamped(
        path: &Path,
        limit: ByteSize,
    ) -> (Option<Stamp>, Result<Self, FileError>) {
        let mut stamp = None;
        let bytes = read_noting(path, limit, &mut stamp);
        (stamp, bytes.and_then(|bytes| Self::of(bytes, limit)))
    }

    /// A component that came by another way, such as an upload.
    pub(crate) fn of(bytes: Vec<u8>, limit: ByteSize) -> Result<Self, FileError> {
        let size = bytes.len() as u64;
        if size > limit.0 {
            return Err(FileError::TooLarge { size, limit });
        }
        check(&bytes)?;
        Ok(Self { digest: Digest::of(&bytes), bytes: bytes.into() })
    }
}

/// All that is in a file, if it is a file and not larger than it may be. Neither a pipe nor a device makes it wait.
pub(crate) fn read(path: &Path, limit: ByteSize) -> Result<Vec<u8>, FileError> {
    read_noting(path, limit, &mut None)
}

/// Notes the stamp before it reads: a file that is written meanwhile gets another one.
fn read_noting(
    path: &Path,
    limit: ByteSize,
    stamp: &mut Option<Stamp>,
) -> Result<Vec<u8>, FileError> {
    let unreadable = |error| unreadable(path, &error);
    // It is looked at before it is opened: that alone makes some devices do something.
    let seen = std::fs::metadata(path).map_err(unreadable)?;
    if !seen.is_file() {
        return Err(FileError::NotAFile(kind(&seen)));
    }
    // Opening what has become a pipe meanwhile would wait for a writer.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    *stamp = Some(Stamp::new(&metadata));
    if !metadata.is_file() {
        return Err(FileError::NotAFile(kind(&metadata)));
    }
    if metadata.len() > limit.0 {
        return Err(FileError::TooLarge { size: metadata.len(), limit });
    }
    // One byte more, so that its end is seen without growing.
    let size = usize::try_from(metadata.len()).unwrap_or(0);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size + 1).map_err(|_| unreadable(io::ErrorKind::OutOfMemory.into()))?;
    file.take(limit.0.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound if path.is_symlink() => FileError::Dangling,
        // What should be its folder is none.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::Missing,
        io::ErrorKind::PermissionDenied => {
            FileError::Unreadable("this user may not read it".to_owned())
        }
        io::ErrorKind::IsADirectory => FileError::NotAFile("folder"),
        _ => FileError::Unreadable(error.to_string()),
    }
}

fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_dir() {
        "folder"
    } else if kind.is_fifo() {
        "pipe"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}

const MAGIC: &[u8] = b"\0asm";
const COMPONENT: &[u8] = b"\x0d\0\x01\0";
/// Number of a custom section.
const CUSTOM: u8 = 0;
const MODULE: &[u8] = b"\x01\0\0\0";

/// Is it a component whose last section is whole? What is in the sections is the business of validation.
fn check(bytes: &[u8]) -> Result<(), FileError> {
    let incomplete = Err(FileError::Incomplete { size: bytes.len() });
    let Some((magic, rest)) = bytes.split_at_checked(MAGIC.len()) else {
        return if MAGIC.starts_with(bytes) { incomplete } else { Err(FileError::NotWasm) };
    };
    if magic != MAGIC {
        return Err(FileError::NotWasm);
    }
    match rest.split_at_checked(COMPONENT.len()) {
        Some((COMPONENT, sections)) if sections_are_whole(sections) => Ok(()),
        Some((COMPONENT, _)) | None => incomplete,
        Some((MODULE, _)) => Err(FileError::CoreModule),
        Some(_) => Err(FileError::NotWasm),
    }
}

fn sections_are_whole(mut bytes: &[u8]) -> bool {
    while let Some((_id, rest)) = bytes.split_first() {
        let Some((size, rest)) = leb128(rest) else { return false };
        let Some(rest) = rest.get(size..) else { return false };
        bytes = rest;
    }
    true
}

/// What a component's own custom section of this name holds; the first, if there are several.
pub(crate) fn custom_section<'a>(component: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut bytes = component.get(MAGIC.len() + COMPONENT.len()..)?;
    while let Some((id, rest)) = bytes.split_first() {
        let (size, rest) = leb128(rest)?;
        let (section, after) = rest.split_at_checked(size)?;
        if *id == CUSTOM {
            let (length, rest) = leb128(section)?;
            let (found, data) = rest.split_at_checked(length)?;
            if found == name.as_bytes() {
                return Some(data);
            }
        }
        bytes = after;
    }
    None
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (n, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes.get(n + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: ByteSize = ByteSize(1 << 10);

    #[test]
    fn a_component_is_taken_only_whole() {
        let whole = [MAGIC, COMPONENT, b"\0\x03\x01a!", b"\0\x02\x01b"].concat();
        assert_eq!(check(&whole), Ok(()));
        for cut in [0, 1, 3, 5, 9, 10, 12, 14, 16] {
            let size = cut;
            assert_eq!(check(&whole[..cut]), Err(FileError::Incomplete { size }), "{cut}");
        }
        // Cut between sections it is a component, only another one; its digest will change once more.
        assert_eq!(check(&whole[..13]), Ok(()));
    }

    #[test]
    fn custom_sections_are_found_by_name() {
        let sections: [&[u8]; 4] =
            [b"\x01\x02\x00a", b"\0\x03\x01ax", b"\0\x04\x02bby", b"\0\x02\x01a"];
        let all = [MAGIC, COMPONENT, &sections.concat()].concat();
        assert_eq!(custom_section(&all, "a"), Some(b"x".as_slice()));
        assert_eq!(custom_section(&all, "bb"), Some(b"y".as_slice()));
        assert_eq!(custom_section(&all, "c"), None);
        for cut in 0..all.len() {
            let _ = custom_section(&all[..cut], "bb");
        }
        let broken = [MAGIC, COMPONENT, b"\0\x02\x09a"].concat(); // a name longer than its section
        assert_eq!(custom_section(&broken, "a"), None);
    }

    #[test]
    fn other_files_are_named_for_what_they_are() {
        let cases: [(&[u8], FileError); 3] = [
            (b"#!/bin/sh", FileError::NotWasm),
            (b"\0asm\x01\0\0\0", FileError::CoreModule),
            (b"\0asm\x0a\0\x01\0", FileError::NotWasm),
        ];
        for (bytes, expected) in cases {
            assert_eq!(check(bytes), Err(expected));
        }
    }

    #[test]
    fn a_stamp_is_of_the_file_that_was_read() {
        use std::os::unix::fs::symlink;
        const FLIPS: usize = 2_000;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let known = [b'a', b'b'].map(|name| {
            let path = at(std::str::from_utf8(&[name]).unwrap());
            std::fs::write(&path, [MAGIC, COMPONENT, &[0, 3, 1, b'x', name]].concat()).unwrap();
            let (stamp, component) = Component::read_stamped(&path, LIMIT);
            assert_eq!(stamp, Some(Stamp::of(&path).unwrap()));
            (stamp, component.unwrap().digest)
        });
        let point_to = |target: &str| {
            symlink(target, at("aside")).unwrap();
            std::fs::rename(at("aside"), at("link")).unwrap();
        };
        point_to("a");
        std::thread::scope(|scope| {
            let flips = scope
                .spawn(|| (0..FLIPS).for_each(|n| point_to(if n % 2 == 0 { "b" } else { "a" })));
            while !flips.is_finished() {
                let (stamp, component) = Component::read_stamped(&at("link"), LIMIT);
                assert!(known.contains(&(stamp, component.unwrap().digest)));
            }
        });
    }

    #[test]
    fn what_is_no_readable_file_never_blocks() {
        use std::os::unix::{fs::symlink, net::UnixListener};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let fifo = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), fifo, mode, 0).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        File::create(at("sparse")).unwrap().set_len(2 << 30).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        symlink("/dev/zero", at("device")).unwrap();
        symlink("none", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        let cases = [
            ("none", FileError::Missing),
            ("dangling", FileError::Dangling),
            ("pipe", FileError::NotAFile("pipe")),
            ("socket", FileError::NotAFile("socket")),
            ("device", FileError::NotAFile("device")),
            ("folder", FileError::NotAFile("folder")),
            ("sparse", FileError::TooLarge { size: 2 << 30, limit: LIMIT }),
        ];
        for (name, expected) in cases {
            assert_eq!(Component::read(&at(name), LIMIT).err(), Some(expected), "{name}");
        }
        let looped = Component::read(&at("loop"), LIMIT).unwrap_err().to_string();
        assert!(looped.starts_with("it cannot be read: Too many levels"), "{looped}");
    }
}
