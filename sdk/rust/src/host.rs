//! Who answers a capability: the real imports in a component, the doubles of [`crate::testing`] elsewhere.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::bindings::capabilities::edgewit::filter::*;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::doubles::*;
