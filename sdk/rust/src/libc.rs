//! The functions of C's library through which std would reach WASI, answered without it.
//!
//! Rust's std links the code that prints a panic into every component, and with it the imports of WASI for streams,
//! terminals, environment and exit. A filter has none of these: defined here, they end in the component itself. So a
//! filter imports what it uses and nothing else, and is one core module instead of three, which a fresh instance feels.
//!
//! The price is that the text of a panic is lost; what remains is the trap with its backtrace of function names. With the
//! feature `stderr` the text, and whatever else is printed, goes to the capability `log`, which is an import.

// Symbols of C's library, found by the linker by their names.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};

/// A piece of what is written.
#[repr(C)]
struct IoVec {
    start: *const u8,
    length: usize,
}

#[unsafe(no_mangle)]
extern "C" fn write(_file: c_int, start: *const u8, length: usize) -> isize {
    // SAFETY: the caller hands over a valid buffer, as `write` in C demands.
    print(unsafe { std::slice::from_raw_parts(start, length) });
    length as isize
}

#[unsafe(no_mangle)]
extern "C" fn writev(_file: c_int, pieces: *const IoVec, count: c_int) -> isize {
    // SAFETY: the caller hands over valid buffers, as `writev` in C demands.
    let pieces = unsafe { std::slice::from_raw_parts(pieces, count as usize) };
    for piece in pieces {
        write(0, piece.start, piece.length);
    }
    pieces.iter().map(|piece| piece.length as isize).sum()
}

#[unsafe(no_mangle)]
extern "C" fn getenv(_name: *const c_char) -> *mut c_char {
    std::ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn abort() -> ! {
    std::arch::wasm32::unreachable()
}

#[unsafe(no_mangle)]
extern "C" fn exit(_status: c_int) -> ! {
    std::arch::wasm32::unreachable()
}

#[cfg(feature = "stderr")]
fn print(text: &[u8]) {
    crate::log::error(String::from_utf8_lossy(text).trim_end());
}

#[cfg(not(feature = "stderr"))]
fn print(_text: &[u8]) {}
