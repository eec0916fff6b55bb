//! `[routes.<name>]`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use edgewit_model::{FilterUse, ListenerName, Retry, RetryOn, Route, RouteName};

use super::{
    Chains, Cx, Filters, Resolver, action, cors, edits, health, matcher, plugin, policy, rewrite,
    template::Captures, upgrades,
};
use crate::{
    Memo, Place, code,
    places::{Places, RoutePlaces},
    raw::{self, At},
    suggest::did_you_mean,
    tree::{Item, Section},
};

/// Longer than a person waits, shorter than the 60 s after which most clients and load balancers give up.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Those who keep a WebSocket open ping every minute or less; what says nothing for an hour was forgotten.
const TUNNEL_IDLE: Duration = Duration::from_secs(3_600);
const MOST_LISTENERS: usize = 1_024;

/// All routes. Those that `memo` knows are taken from there.
pub(super) fn routes(
    r: &mut Resolver<'_>,
    section: &Section<'_>,
    chains: &Chains,
    places: &mut Places,
    memo: Option<&mut Memo>,
) -> BTreeMap<RouteName, Arc<Route>> {
    let filters = |filters: &Filters| filters.iter().map(|(filter, _)| filter.clone()).collect();
    let filters = || chains.iter().map(|(name, all)| (name.clone(), filters(all))).collect();
    let mut walk = memo.map(|memo| memo.walk(r.base, filters()));
    // Collected at once: they come in order, and one by one each would look for its place.
    let (mut routes, mut placed) = (Vec::new(), Vec::new());
    for (key, item) in section {
        let said = r.report.count();
        let Some(name) = r.name::<RouteName>(key, item) else { continue };
        if let Some(known) = walk.as_mut().and_then(|walk| walk.recall(&name, item)) {
            let stands = known.places(item, places_of(chain_of(item, chains)));
            let route = known.route();
            let filters = route.filters.iter().rev().zip(stands.own_filters().iter().rev());
            filters.for_each(|(filter, place)| places.used(filter, place));
            routes.push((name.clone(), Arc::clone(route)));
            placed.push((name, stands));
            continue;
        }
        let made = r.entry(item, |raw, cx| route(name.clone(), raw, chains, places, cx));
        let Some((route, stands)) = made else { continue };
        let route = Arc::new(route);
        if let Some(walk) = &mut walk {
            walk.note(item, &route, &stands, r.report.count() == said);
        }
        routes.push((name.clone(), route));
        placed.push((name, stands));
    }
    places.routes = placed.into_iter().collect();
    routes.into_iter().collect()
}

/// Filters of the chain that a route uses, if it is there.
fn chain_of<'c>(item: &Item<'_>, chains: &'c Chains) -> &'c [(FilterUse, Place)] {
    let name = item.get("chain").and_then(|name| name.get_ref().as_str());
    name.and_then(|name| chains.get(name)).map_or(&[], Vec::as_slice)
}

fn places_of(filters: &[(FilterUse, Place)]) -> Vec<Place> {
    filters.iter().map(|(_, place)| place.clone()).collect()
}

fn route(
    name: RouteName,
    raw: raw::Route,
    chains: &Chains,
    places: &mut Places,
    cx: &mut Cx<'_, '_>,
) -> Option<(Route, RoutePlaces)> {
    let matchers = matcher::matchers(raw.matches.as_ref(), &name, cx);
    let chain = chain_of(cx.item, chains);
    let own = plugin::filters(raw.filters.as_ref(), cx);
    own.iter().for_each(|(filter, place)| places.used(filter, place));
    let filters = chain.iter().chain(&own).map(|(filter, _)| filter.clone()).collect();
    let (matchers, matcher_places): (Vec<_>, Vec<_>) = matchers.into_iter().unzip();
    let captures = Captures::of(&matchers);
    let own = own.into_iter().map(|(_, place)| place).collect();
    let stands = RoutePlaces::new(cx.item.place(), places_of(chain), own, matcher_places);
    let action = action::action(&raw, &captures, cx);
    let timeout = cx.time(&raw.timeout, TIMEOUT);
    let body = raw.body.is_some().then(|| cx.size(&raw.body, TINY));
    let upgrades = upgrades::upgrades(&raw, cx);
    let listeners = listeners(raw.listeners.as_ref(), cx);
    let rewrite = rewrite::rewrite(raw.rewrite.as_ref(), &captures, cx);
    let headers = edits::edits(raw.headers.as_ref(), &captures, cx);
    let route = Route {
        matchers,
        listeners,
        filters,
        rewrite,
        timeout,
        retry: retry(raw.retry.as_ref(), cx),
        body,
        upgrades,
        tunnel_idle: cx.time(&raw.tunnel_idle, TUNNEL_IDLE),
        headers,
        cors: raw.cors.as_ref().map(|cors| cors::cors(cors, cx)),
        fault: raw.fault.as_ref().map(|fault| policy::fault(fault, cx)),
        compress: raw.compress.as_ref().and_then(|compress| policy::compress(compress, cx)),
        mirror: raw.mirror.as_ref().and_then(|mirror| policy::mirror(mirror, cx)),
        split_on: raw.split_on.as_ref().and_then(|split| policy::split_on(split, cx)),
        stall: raw.stall_timeout.is_some().then(|| cx.time(&raw.stall_timeout, TIMEOUT)),
        action: action?,
        name,
    };
    Some((route, stands))
}

/// Stands for a size that could not be read and was reported.
const TINY: edgewit_model::ByteSize = edgewit_model::ByteSize(1);

/// Names that are not there are reported by the check of references.
fn listeners(raw: Option<&At<Vec<At<String>>>>, cx: &mut Cx<'_, '_>) -> Vec<ListenerName> {
    let Some(list) = raw else { return Vec::new() };
    if cx.lacks("listeners") {
        let label = "leave the key out for all listeners";
        cx.hint(code::INVALID_VALUE, &list.span, "a route needs a listener", label);
    }
    let names = cx.bounded(list, MOST_LISTENERS, "listeners");
    let mut names: Vec<_> =
        names.iter().filter_map(|at| ListenerName::new(&at.value).ok()).collect();
    names.sort();
    names.dedup();
    names
}

fn retry(raw: Option<&At<raw::Retry>>, cx: &mut Cx<'_, '_>) -> Retry {
    let default = Retry::default();
    let Some(At { value: raw, .. }) = raw else { return default };
    let attempts = raw.attempts.as_ref().map_or(u64::from(default.attempts), |at| at.value);
    if let Some(at) = raw.attempts.as_ref().filter(|at| !(1..=10).contains(&at.value)) {
        let message = format!("`attempts` is 1 to 10, not {}", at.value);
        cx.error(code::INVALID_RETRY, &at.span, message);
    }
    let backoff = cx.amount(&raw.backoff).unwrap_or(default.backoff);
    if let Some(at) = raw.backoff.as_ref().filter(|_| backoff.0 > backoff.1) {
        let message = "the first pause is longer than the longest";
        cx.error(code::INVALID_RETRY, &at.span, message);
    }
    Retry {
        attempts: u32::try_from(attempts).unwrap_or(default.attempts),
        on: raw.on.as_ref().map_or(default.on, |on| retry_on(on, cx)),
        per_try: raw.per_try.is_some().then(|| cx.time(&raw.per_try, TIMEOUT)),
        backoff,
        budget_percent: cx.amount(&raw.budget).unwrap_or(default.budget_percent),
        replay: cx.size(&raw.replay, default.replay),
        hedge: health::hedge(raw.hedge.as_ref(), cx),
    }
}

fn retry_on(list: &At<Vec<At<String>>>, cx: &mut Cx<'_, '_>) -> RetryOn {
    let mut on = RetryOn::default();
    for at in cx.bounded(list, MOST_REASONS, "reasons") {
        match at.value.as_str() {
            "connect" => on.connect = true,
            "reset" => on.reset = true,
            "timeout" => on.timeout = true,
            "5xx" => on.statuses.extend(500..=599),
            text => match text.parse::<u16>().ok().filter(|status| (400..=599).contains(status)) {
                Some(status) => on.statuses.push(status),
                None => unknown_reason(at, cx),
            },
        }
    }
    on.statuses.sort_unstable();
    on.statuses.dedup();
    on
}

const MOST_REASONS: usize = 204; // every status from 400 and every word
const REASONS: [&str; 4] = ["connect", "reset", "timeout", "5xx"];

fn unknown_reason(at: &At<String>, cx: &mut Cx<'_, '_>) {
    let message = format!(
        "`{}` is no reason to try again; use connect, reset, timeout, a status from 400 to 599, or 5xx",
        at.value
    );
    cx.hint(code::INVALID_RETRY, &at.span, message, did_you_mean(&at.value, REASONS));
}
