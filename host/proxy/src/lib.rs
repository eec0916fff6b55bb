//! What happens to one request?
//!
//! [`Proxy`] has worker threads that accept connections and answer requests with one immutable [`Snapshot`] of the
//! configuration each. The way of a request: `listen` → `tls` → `http` → `guard` → `snapshot` → `route` → `exchange`
//! { request side of the chain → `forward` → response side } → `finish`. Nothing here reads files of configuration or
//! knows WebAssembly. Start reading at `exchange.rs`.

mod exchange;

mod proxy;

mod worker;

mod turns;

mod listen;

mod tls;

mod proxied;

mod connection;

mod wire;

mod http;

mod guard;

mod snapshot;

mod route;

mod forward;

mod upgrade;

mod relay;

mod template;

mod rewrite;

mod redirect;

mod edits;

mod cors;

mod policy;

mod compress;

mod mirror;

mod upload;

mod reply;

mod piped;

mod shared_run;

mod away;

mod lane;

mod problem;

mod proxy_status;

mod refused;

mod loads;

mod finish;

mod afterwards;

mod observe;

mod retries;

mod fields;

mod patience;

mod random;

mod hex;

#[doc(hidden)]
pub mod fuzz;

pub use listen::{Adopted, ListenError, Renewal, Renewed};
pub use observe::FilterObserver;
pub use proxy::{Bound, Proxy};
pub use route::{Ask, Candidate, Found, RouteError, RouteTable, Why};
pub use snapshot::{LiveRoute, LiveUpstream, Snapshot};
pub use tls::{CertificateInfo, ClientAuthError, TlsError};
