//! What an earlier load has found out about routes, so that a load of thousands of them resolves those that have changed.

mod fingerprint;

use std::{
    collections::{BTreeMap, btree_map},
    iter::Peekable,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use edgewit_model::{FilterUse, Route, RouteName};

use crate::{Place, places::RoutePlaces, tree::Item};
use fingerprint::Fingerprint;

/// What earlier loads have found out, for the next one of the same configuration. It is never wrong about another one, only
/// of no use.
///
/// A route is made of nothing but what is written in its entry, of the chains, and of the folder that relative paths start
/// from. So one that is written as before is the one that was made before, and is shared with the configuration of then.
#[derive(Debug, Default)]
pub struct Memo {
    base: PathBuf,
    chains: BTreeMap<String, Vec<FilterUse>>,
    routes: BTreeMap<RouteName, Known>,
    /// Has one been added, or been found by other requests, since they were compared with each other?
    unchecked: bool,
    /// Of the route that is looked at; kept for the next one.
    fingerprint: Fingerprint,
}

/// A route about which there was nothing to say.
#[derive(Debug)]
pub(crate) struct Known {
    fingerprint: Box<[u8]>,
    route: Arc<Route>,
    /// Of its own filters and of its matchers, from its start.
    filters: Box<[Range<usize>]>,
    matchers: Box<[Range<usize>]>,
}

/// A look at all routes of a configuration, in the order of their names.
pub(crate) struct Walk<'m> {
    memo: &'m mut Memo,
    before: Peekable<btree_map::IntoIter<RouteName, Known>>,
    /// What was made of the route that is looked at when it was written in another way.
    other: Option<Arc<Route>>,
    now: Vec<(RouteName, Known)>,
}

impl Memo {
    /// What was made under other chains or in another folder is forgotten.
    pub(crate) fn walk(
        &mut self,
        base: &Path,
        chains: BTreeMap<String, Vec<FilterUse>>,
    ) -> Walk<'_> {
        if self.base != base || self.chains != chains {
            self.routes.clear();
            self.base = base.to_owned();
            self.chains = chains;
        }
        let before = std::mem::take(&mut self.routes).into_iter().peekable();
        Walk { memo: self, before, other: None, now: Vec::new() }
    }

    /// Is it known that no two of the routes that are there now want the same requests?
    pub(crate) fn is_free_of_conflicts(&self) -> bool {
        !self.unchecked
    }

    /// They were compared, with nothing to say.
    pub(crate) fn found_no_conflict(&mut self) {
        self.unchecked = false;
    }
}

impl Walk<'_> {
    /// The next route, if it is written as before.
    pub(crate) fn recall(&mut self, name: &RouteName, item: &Item<'_>) -> Option<&Known> {
        while self.before.next_if(|(before, _)| before < name).is_some() {}
        let known = self.before.next_if(|(before, _)| before == name);
        self.memo.fingerprint.take(item);
        match known {
            Some((name, known)) if self.memo.fingerprint.is(&known.fingerprint) => {
                self.now.push((name, known));
                self.now.last().map(|(_, known)| known)
            }
            other => {
                self.other = other.map(|(_, known)| known.route);
                None
            }
        }
    }

    /// What was made of the route that was asked for and is not known. `silent`: there was nothing to say about it.
    pub(crate) fn note(
        &mut self,
        item: &Item<'_>,
        route: &Arc<Route>,
        places: &RoutePlaces,
        silent: bool,
    ) {
        let other = self.other.take();
        self.memo.unchecked |= !other.is_some_and(|other| silent && other.is_found_as(route));
        let known = || {
            let from = |place: &Place| {
                let Range { start, end } = place.span();
                Some(start.checked_sub(item.start())?..end.checked_sub(item.start())?)
            };
            Some(Known {
                fingerprint: self.memo.fingerprint.bytes()?.into(),
                route: Arc::clone(route),
                filters: places.own_filters().iter().map(from).collect::<Option<_>>()?,
                matchers: places.matchers.iter().map(from).collect::<Option<_>>()?,
            })
        };
        match known().filter(|_| silent) {
            Some(known) => self.now.push((route.name.clone(), known)),
            None => self.memo.unchecked = true, // it will be new again
        }
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        self.memo.routes = std::mem::take(&mut self.now).into_iter().collect();
    }
}

impl Known {
    /// What was made of it.
    pub(crate) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Where it stands now. `chain`: where the filters of its chain stand.
    pub(crate) fn places(&self, item: &Item<'_>, chain: Vec<Place>) -> RoutePlaces {
        let start = item.start();
        let place = |span: &Range<usize>| item.at(start + span.start..start + span.end);
        let own = self.filters.iter().map(place).collect();
        let matchers = self.matchers.iter().map(place).collect();
        RoutePlaces::new(item.place(), chain, own, matchers)
    }
}
