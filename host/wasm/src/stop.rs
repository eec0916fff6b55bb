//! Why a call of a component ended early, in the chain's words.

use edgewit_chain::{Stop, StopReason};
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::{limiter::Limiter, state::TooMuch, time::TookTooLong};

/// Classifies an error of wasmtime. `limiter` says whether memory was refused before.
pub(crate) fn classify(error: &wasmtime::Error, limiter: &Limiter) -> Stop {
    let reason = reason(error, limiter);
    let denied = limiter.denied().filter(|_| reason == StopReason::Memory);
    let detail = match denied {
        Some(denied) => format!("{denied}; {}", one_line(error)),
        None => one_line(error),
    };
    Stop { reason, detail }
}

fn reason(error: &wasmtime::Error, limiter: &Limiter) -> StopReason {
    if error.is::<PoolConcurrencyLimitError>() {
        return StopReason::Exhausted;
    }
    if error.is::<TooMuch>() || error.chain().any(|e| e.to_string().contains(HOST_BYTES)) {
        return StopReason::Capability;
    }
    if error.is::<TookTooLong>() {
        return StopReason::Time;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => StopReason::Fuel,
        _ if limiter.denied().is_some() => StopReason::Memory,
        Some(Trap::CannotEnterComponent | Trap::StringOutOfBounds | Trap::ListOutOfBounds) => {
            StopReason::Abi
        }
        _ => StopReason::Trap,
    }
}

/// What wasmtime says when more bytes went through host calls than `Store::set_hostcall_fuel` allows; its type is private.
const HOST_BYTES: &str = "fuel allocated for hostcalls has been exhausted";

/// The error with its causes; the guest's stack is reduced to its functions.
fn one_line(error: &wasmtime::Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        match text.strip_prefix("error while executing at wasm backtrace:") {
            Some(stack) => causes.push(format!("in {}", frames(stack))),
            None => causes.push(text),
        }
    }
    causes.reverse();
    let mut line = causes.join("; ");
    line.retain(|c| !c.is_control());
    line
}

fn frames(stack: &str) -> String {
    let name = |line: &str| line.rsplit(" - ").next().unwrap_or(line).trim().to_owned();
    let frames: Vec<String> =
        stack.lines().filter(|l| l.contains(" - ")).take(8).map(name).collect();
    frames.join(" < ")
}
