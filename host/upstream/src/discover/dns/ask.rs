//! Questions to the name service.

use std::{net::IpAddr, time::Duration};

use edgewit_model as model;
use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, RecordType},
};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::Instant,
};

use super::{
    memory::{Answer, Memory},
    route::routed,
    services::{self, Service},
};
use crate::{discover::Found, upstream::UpstreamError};

/// Hosts of SRV records at most; each costs two questions.
const MOST_SERVICES: usize = 128;

/// Hosts that are asked for at a time: name servers limit the rate of a client.
const AT_A_TIME: usize = 8;

/// Why a look for endpoints brought none.
#[derive(Debug, thiserror::Error)]
pub(super) enum DnsError {
    #[error("the name service did not answer in time")]
    Timeout,
    #[error("the configuration of the system's name service cannot be read")]
    Resolver(#[source] NetError),
    #[error("the name service did not answer")]
    Ask(#[source] NetError),
    #[error("`{0}` has no address")]
    Empty(String),
    #[error("`{0}` has no service")]
    NoService(String),
    #[error("an endpoint cannot be used")]
    Endpoint(#[from] UpstreamError),
}

/// Asks for all endpoints. At least one, and how long that is true.
pub(super) async fn look(
    dns: &model::DnsDiscovery,
    memory: &mut Memory,
) -> Result<(Vec<Found>, Duration), DnsError> {
    let servers = dns.resolvers.clone();
    // Made for each look, so that a change of the system's configuration is seen. Reads small files.
    let resolver = spawn_blocking(move || resolver(&servers)).await;
    let resolver = resolver.map_err(|_| DnsError::Timeout)?.map_err(DnsError::Resolver)?;
    match &dns.question {
        model::DnsQuestion::Addresses { name, port } => {
            let (v4, v6) = addresses(&resolver, name).await;
            let (found, ttl) = memory.settle(name, v4, v6, Instant::now())?;
            if found.is_empty() {
                return Err(DnsError::Empty(name.clone()));
            }
            let called = name.trim_end_matches('.').to_owned();
            let found = routed(found).into_iter().map(|address| {
                let host = address.to_string();
                let endpoint = model::Endpoint { tls: dns.tls, host, port: *port, weight: 1 };
                Found { endpoint, name: Some(called.clone()) }
            });
            Ok((found.collect(), ttl))
        }
        model::DnsQuestion::Services { name } => {
            let (services, ttl) = ask_services(&resolver, name).await?;
            let (services, shortest) = hosts(&resolver, services, memory, ttl).await?;
            let found = services::endpoints(services, dns.tls);
            if found.is_empty() {
                return Err(DnsError::Empty(name.clone()));
            }
            Ok((found, shortest))
        }
    }
}

fn resolver(servers: &[std::net::SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = match servers {
        [] => TokioResolver::builder_tokio()?,
        servers => {
            let server = |address: &std::net::SocketAddr| {
                let mut server = NameServerConfig::udp_and_tcp(address.ip());
                server.connections.iter_mut().for_each(|c| c.port = address.port());
                server
            };
            let servers = servers.iter().map(server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    builder.options_mut().cache_size = 0; // the pace of questions is ours
    builder.build()
}

/// Both families of addresses of a host.
async fn addresses(resolver: &TokioResolver, host: &str) -> (Answer<DnsError>, Answer<DnsError>) {
    tokio::join!(
        ask_addresses(resolver, host, RecordType::A),
        ask_addresses(resolver, host, RecordType::AAAA),
    )
}

async fn ask_addresses(resolver: &TokioResolver, host: &str, kind: RecordType) -> Answer<DnsError> {
    let (records, ttl) = ask(resolver, host, kind).await?;
    let found = records.iter().filter_map(|data| match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None, // names on the way, which are followed
    });
    let mut found: Vec<IpAddr> = found.collect();
    found.sort_unstable(); // name servers turn the list round at each answer
    found.dedup();
    Ok((found, ttl))
}

async fn ask_services(
    resolver: &TokioResolver,
    name: &str,
) -> Result<(Vec<Service>, Duration), DnsError> {
    let (records, ttl) = ask(resolver, name, RecordType::SRV).await?;
    let service = |data: &RData| match data {
        RData::SRV(srv) => Some(Service {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            host: srv.target.to_ascii().trim_end_matches('.').to_ascii_lowercase(),
        }),
        _ => None,
    };
    let mut services = services::preferred(records.iter().filter_map(service).collect());
    services.sort_by(|a, b| (&a.host, a.port).cmp(&(&b.host, b.port)));
    if services.is_empty() {
        return Err(DnsError::NoService(name.to_owned()));
    }
    services.truncate(MOST_SERVICES);
    Ok((services, ttl))
}

/// The addresses of services' hosts. For one that fails the last good answer stands in, if there is one; an error only if
/// no host has an address.
async fn hosts(
    resolver: &TokioResolver,
    services: Vec<Service>,
    memory: &mut Memory,
    mut shortest: Duration,
) -> Result<(Vec<(Service, Vec<String>)>, Duration), DnsError> {
    let mut out = Vec::with_capacity(services.len());
    let mut failed = None;
    for some in services.chunks(AT_A_TIME) {
        let mut asking = JoinSet::new();
        for (index, service) in some.iter().cloned().enumerate() {
            let resolver = resolver.clone();
            asking.spawn(async move {
                let answers = addresses(&resolver, &format!("{}.", service.host)).await;
                (index, service, answers)
            });
        }
        let mut answered = asking.join_all().await;
        answered.sort_by_key(|(index, ..)| *index);
        for (_, service, (v4, v6)) in answered {
            match memory.settle(&service.host, v4, v6, Instant::now()) {
                Ok((found, ttl)) => {
                    shortest = shortest.min(ttl);
                    out.push((service, shown(found)));
                }
                Err(error) => {
                    let last = memory.last(&service.host).unwrap_or_default();
                    out.push((service, shown(last)));
                    failed = Some(error);
                }
            }
        }
    }
    match failed {
        Some(error) if out.iter().all(|(_, found)| found.is_empty()) => Err(error),
        _ => Ok((out, shortest)),
    }
}

fn shown(addresses: Vec<IpAddr>) -> Vec<String> {
    routed(addresses).iter().map(ToString::to_string).collect()
}

/// Records of one type, and for how long. No records are an answer too.
async fn ask(
    resolver: &TokioResolver,
    name: &str,
    kind: RecordType,
) -> Result<(Vec<RData>, Duration), DnsError> {
    let lookup = match resolver.lookup(name, kind).await {
        Ok(lookup) => lookup,
        Err(error) if error.is_no_records_found() => return Ok((Vec::new(), Duration::ZERO)),
        Err(error) => return Err(DnsError::Ask(error)),
    };
    let ttl = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
    let records = lookup.answers().iter().map(|record| record.data.clone()).collect();
    Ok((records, Duration::from_secs(ttl.into())))
}
