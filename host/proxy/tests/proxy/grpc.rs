//! gRPC with a real server and a real client.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use edgewit_chain::RequestVerdict;
use edgewit_model::{self as model, UpstreamName};
use edgewit_upstream::Upstream;
use futures_util::{StreamExt, stream};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tonic::{
    Code, Request,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
    server::HealthReporter,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::support::{Gateway, Native, answer, forward_to, listener, route, until, within};

/// A server of gRPC without TLS.
struct Service {
    upstream: Arc<Upstream>,
    task: JoinHandle<()>,
}

/// A socket for one.
async fn bind() -> (TcpIncoming, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (TcpIncoming::from(socket), address)
}

impl Service {
    /// Health, and how to change what it says.
    async fn health() -> (Self, HealthReporter) {
        let (incoming, address) = bind().await;
        let (reporter, health) = tonic_health::server::health_reporter();
        let task = tokio::spawn(async move {
            let _ = Server::builder().serve_with_incoming(health, incoming).await;
        });
        (Self::at(address, task), reporter)
    }

    /// Reflection.
    async fn reflection() -> Self {
        let (incoming, address) = bind().await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .unwrap();
        let task = tokio::spawn(async move {
            let _ = Server::builder().serve_with_incoming(reflection, incoming).await;
        });
        Self::at(address, task)
    }

    fn at(address: SocketAddr, task: JoinHandle<()>) -> Self {
        let host = address.ip().to_string();
        let endpoint = model::Endpoint { tls: false, host, port: address.port(), weight: 1 };
        let mut config = model::Upstream::new(UpstreamName::new("u").unwrap(), vec![endpoint]);
        config.h2c = true;
        config.timeouts.connect = crate::support::DEADLINE; // busy machines
        Self { upstream: Upstream::new(&config).unwrap(), task }
    }

    fn gateway(&self, filters: Vec<Arc<dyn edgewit_chain::Filter>>) -> Gateway {
        let to = route(forward_to(&[&self.upstream]));
        Gateway::new(listener(), vec![(to, filters, vec![self.upstream.clone()])])
    }

    fn in_flight(&self) -> u64 {
        self.upstream.endpoints()[0].counters().in_flight()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn channel(gateway: &Gateway) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", gateway.address)).unwrap();
    within(endpoint.connect()).await.unwrap()
}

fn ask(service: &str) -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest { service: service.to_owned() })
}

#[tokio::test]
async fn a_call_brings_its_answer_and_its_status() {
    let (service, _reporter) = Service::health().await;
    let gateway = service.gateway(Vec::new());
    let mut health = HealthClient::new(channel(&gateway).await);
    let answer = within(health.check(ask(""))).await.unwrap();
    assert_eq!(answer.into_inner().status, 1);
    // Trailers alone, as the server sent them.
    let error = within(health.check(ask("nobody"))).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(error.message(), "service not registered");
}

#[tokio::test]
async fn a_stream_of_the_server_comes_as_it_is_sent() {
    let (service, reporter) = Service::health().await;
    let gateway = service.gateway(Vec::new());
    let mut health = HealthClient::new(channel(&gateway).await);
    let mut watch = within(health.watch(ask(""))).await.unwrap().into_inner();
    assert_eq!(within(watch.message()).await.unwrap().unwrap().status, 1);
    for (status, expected) in [(ServingStatus::NotServing, 2), (ServingStatus::Serving, 1)] {
        reporter.set_service_status("", status).await;
        assert_eq!(within(watch.message()).await.unwrap().unwrap().status, expected);
    }
    // Whoever goes away takes the upstream's stream along.
    assert_eq!(service.in_flight(), 1);
    drop(watch);
    until("the upstream's stream has ended", || service.in_flight() == 0).await;
}

#[tokio::test]
async fn both_sides_stream_in_lockstep() {
    let service = Service::reflection().await;
    let gateway = service.gateway(Vec::new());
    let mut reflection = ServerReflectionClient::new(channel(&gateway).await);
    let (questions, receiver) = mpsc::channel(1);
    let outgoing =
        stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    let question = |symbol: &str| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol(symbol.to_owned())),
    };
    questions.send(question("grpc.health.v1.Health")).await.unwrap();
    let mut answers =
        within(reflection.server_reflection_info(outgoing)).await.unwrap().into_inner();
    for symbol in ["grpc.health.v1.HealthCheckRequest", "nothing.of.the.kind"] {
        let first = within(answers.next()).await.unwrap();
        let is_file = |answer| matches!(answer, Some(MessageResponse::FileDescriptorResponse(_)));
        assert!(first.is_ok_and(|answer| is_file(answer.message_response)));
        questions.send(question(symbol)).await.unwrap();
    }
    assert_eq!(within(answers.next()).await.unwrap().unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_deadline_of_the_client_ends_the_call_everywhere() {
    // The kernel accepts, nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = Service::at(silent.local_addr().unwrap(), tokio::spawn(async {}));
    let gateway = service.gateway(Vec::new());
    let mut health = HealthClient::new(channel(&gateway).await);
    let mut request = ask("");
    request.set_timeout(Duration::from_millis(500));
    let call = tokio::spawn(async move { health.check(request).await });
    until("the call has come", || service.in_flight() == 1).await;
    let error = within(call).await.unwrap().unwrap_err();
    assert!(matches!(error.code(), Code::Cancelled | Code::DeadlineExceeded), "{error:?}");
    until("the upstream's stream has ended", || service.in_flight() == 0).await;
}

#[tokio::test]
async fn a_missing_server_is_unavailable_in_the_words_of_grpc() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let service = Service::at(closed, tokio::spawn(async {}));
    let gateway = service.gateway(Vec::new());
    let mut health = HealthClient::new(channel(&gateway).await);
    let error = within(health.check(ask(""))).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Unavailable, "Bad Gateway"));
    let status = error.metadata().get("proxy-status").unwrap();
    assert_eq!(status, "edgewit; error=connection_refused");
}

#[tokio::test]
async fn answers_of_the_gateway_are_the_status_of_the_call() {
    for (status, expected) in [
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (429, Code::ResourceExhausted),
        (503, Code::Unavailable),
    ] {
        let (service, _reporter) = Service::health().await;
        let filter = Native {
            on_request: Some(Box::new(move |_| Ok(RequestVerdict::Answer(answer(status, "no"))))),
            ..Native::default()
        };
        let gateway = service.gateway(vec![filter.into_filter()]);
        let mut health = HealthClient::new(channel(&gateway).await);
        let error = within(health.check(ask(""))).await.unwrap_err();
        assert_eq!(error.code(), expected, "{status}");
    }
    let empty = Gateway::new(listener(), Vec::new());
    let mut health = HealthClient::new(channel(&empty).await);
    assert_eq!(within(health.check(ask(""))).await.unwrap_err().code(), Code::Unimplemented);
}
