//! How is a filter for Edgewit written in Rust?
//!
//! A filter is a type with one plain method for each phase that matters, and one line that exports these phases:
//!
//! ```
//! use edgewit_sdk::Response;
//!
//! #[derive(Default)]
//! struct Hello;
//!
//! impl Hello {
//!     fn on_response(&self, response: &mut Response) {
//!         response.set("x-hello", "from the edge");
//!     }
//! }
//!
//! edgewit_sdk::export!(Hello: response);
//! ```
//!
//! What is exported decides when the filter is called; what it imports is its list of permissions. So this crate never
//! calls a capability on its own account: a component imports `edgewit:filter/kv` if and only if its author uses [`kv`].
//! One exception is written at the methods that have it: reading by name what [`Needs`] did not declare asks
//! [`exchange`].
//!
//! A filter with configuration also exports `lifecycle` and is built by [`lifecycle`]'s `configure` instead of
//! `Default`. All of it runs natively too: `cargo test` needs no Wasm, see [`testing`].
//!
//! Start reading at [`export!`], then [`Request`].

pub mod answer;

mod arena;

pub mod auth;

#[doc(hidden)]
pub mod bindings;

pub mod body;

pub mod clock;

mod edits;

pub mod error;

pub mod exchange;

mod export;

mod fact;

pub mod field;

mod head;

mod host;

pub mod kv;

#[cfg(target_arch = "wasm32")]
mod libc;

pub mod lifecycle;

pub mod log;

pub mod metrics;

pub mod needs;

mod outcome;

pub mod random;

pub mod rate;

pub mod request;

pub mod request_body;

pub mod response;

pub mod response_body;

pub mod retry;

pub mod routing;

pub mod state;

pub mod telemetry;

#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

mod value;

pub use answer::Answer;
pub use bindings::capabilities::edgewit::filter::types::{BodyMode, Edit, Fact, Field};
pub use body::Chunk;
pub use error::{Error, Result};
pub use needs::{DeclaredFact, Needs, RequestField, RequestKey, ResponseField};
pub use outcome::Returns;
pub use request::Request;
pub use response::Response;
pub use retry::Attempt;
pub use state::State;
pub use telemetry::Summary;
pub use value::Value;
