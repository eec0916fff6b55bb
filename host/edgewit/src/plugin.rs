//! `edgewit plugin`: what authors of filters do, and what operators do with those that serve.

pub(crate) mod new;

pub(crate) mod build;

pub(crate) mod test;

pub(crate) mod inspect;

pub(crate) mod live;

mod manifest;
