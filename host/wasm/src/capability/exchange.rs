//! `exchange`: what `needs` did not declare.

use edgewit_chain::Fact;
use http::HeaderMap;

use crate::{
    bindings::edgewit::filter::{exchange::Host, types},
    state::State,
};

impl Host for State {
    fn get_fact(&mut self, fact: types::Fact) -> wasmtime::Result<Option<String>> {
        self.charge()?;
        let value = |exchange: &edgewit_chain::Exchange| {
            exchange.fact(known(fact)).map(std::borrow::Cow::into_owned)
        };
        Ok(self.exchange.as_deref().and_then(value))
    }

    fn request_field(&mut self, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.charge()?;
        Ok(self.request().and_then(|fields| first(fields, &name)))
    }

    fn request_fields(&mut self, name: String) -> wasmtime::Result<Vec<Vec<u8>>> {
        self.charge()?;
        Ok(self.request().map(|fields| all(fields, &name)).unwrap_or_default())
    }

    fn response_field(&mut self, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.charge()?;
        Ok(self.response().and_then(|fields| first(fields, &name)))
    }

    fn response_fields(&mut self, name: String) -> wasmtime::Result<Vec<Vec<u8>>> {
        self.charge()?;
        Ok(self.response().map(|fields| all(fields, &name)).unwrap_or_default())
    }
}

impl State {
    fn request(&self) -> Option<&HeaderMap> {
        self.exchange.as_deref().map(|exchange| &exchange.fields)
    }

    fn response(&self) -> Option<&HeaderMap> {
        self.exchange.as_deref()?.response.as_ref().map(|head| &head.fields)
    }
}

fn first(fields: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    fields.get(name).map(|value| value.as_bytes().to_vec())
}

fn all(fields: &HeaderMap, name: &str) -> Vec<Vec<u8>> {
    fields.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect()
}

fn known(fact: types::Fact) -> Fact {
    match fact {
        types::Fact::Method => Fact::Method,
        types::Fact::Scheme => Fact::Scheme,
        types::Fact::Authority => Fact::Authority,
        types::Fact::Path => Fact::Path,
        types::Fact::Query => Fact::Query,
        types::Fact::ClientAddress => Fact::ClientAddress,
        types::Fact::Protocol => Fact::Protocol,
        types::Fact::Listener => Fact::Listener,
        types::Fact::Route => Fact::Route,
        types::Fact::RequestId => Fact::RequestId,
        types::Fact::Subject => Fact::Subject,
        types::Fact::Upstream => Fact::Upstream,
        types::Fact::ClientIdentity => Fact::ClientIdentity,
    }
}
