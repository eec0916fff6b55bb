//! The capability `exchange`: whatever [`Needs`](crate::Needs) did not declare about the running call's exchange.
//!
//! Values are those of this moment, with the edits of the filters before. Each call goes to the host; what is wanted for
//! every request is better declared.

use crate::bindings::capabilities::edgewit::filter::types::Fact;
use crate::host::exchange as host;

/// A fact, if there is one.
pub fn fact(fact: Fact) -> Option<String> {
    host::get_fact(fact)
}

/// The first request field of that name.
pub fn request_field(name: &str) -> Option<Vec<u8>> {
    host::request_field(name)
}

/// All request fields of that name, in their order.
pub fn request_fields(name: &str) -> Vec<Vec<u8>> {
    host::request_fields(name)
}

/// The first response field of that name; `None` before the response's head has come.
pub fn response_field(name: &str) -> Option<Vec<u8>> {
    host::response_field(name)
}

/// All response fields of that name, in their order.
pub fn response_fields(name: &str) -> Vec<Vec<u8>> {
    host::response_fields(name)
}
