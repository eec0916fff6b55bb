//! A component that exports nothing of the contract.

/// Something to compile.
pub struct Nothing;
