//! `edgewit plugin`: what authors of filters do.

pub(crate) mod new;

pub(crate) mod build;

pub(crate) mod test;

pub(crate) mod inspect;

mod manifest;
