//! Whatever is refused is seen in metrics and in the access log.

use edgewit_model::{AccessLog, AccessLogFormat, LogTarget};

use crate::support::{Gateway, listener, respond, route, talk};

#[tokio::test]
async fn what_is_refused_is_logged_and_counted_like_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let log = AccessLog { format: AccessLogFormat::Json, target: LogTarget::File(file.clone()) };
    let routes = vec![(route(respond(200, "hello")), Vec::new(), Vec::new())];
    let gateway = Gateway::with_log(listener(), routes, Some(&log));
    let cases = [
        ("GET /a?token=secret HTTP/1.2\r\n\r\n", 505, "version", "GET", "/a"),
        ("POST /b HTTP/1.1\r\nx y: z\r\n\r\n", 400, "field", "POST", "/b"),
        ("PUT /c HTTP/1.1\r\ncontent-length: +1\r\n\r\n", 400, "framing", "PUT", "/c"),
        ("\u{16}\u{3}\u{1}", 400, "request-line", "-", "-"),
    ];
    for (request, status, reason, method, path) in cases {
        let answer = talk(gateway.address, request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
        assert!(body.contains(&format!("\"instance\":\"{id}\"")), "{answer}");
        let line = logged(&file, id).await;
        for part in [
            format!("\"http.response.status_code\":{status}"),
            format!("\"error.type\":\"{reason}\""),
            format!("\"http.request.method\":\"{method}\""),
            format!("\"url.path\":\"{path}\""),
            "\"client.address\":\"127.0.0.1\"".to_owned(),
            "\"listener\":\"web\"".to_owned(),
        ] {
            assert!(line.contains(&part), "{part} in {line}");
        }
        assert!(!line.contains("secret"), "{line}");
        let text = gateway.metrics.text();
        let duration = format!(
            "http_response_status_code=\"{status}\",url_scheme=\"http\",network_protocol_version=\"1.1\",error_type=\"{reason}\"}} 1"
        );
        assert!(text.contains(&duration), "{duration} in {text}");
        let refused =
            format!("edgewit_requests_refused_total{{listener=\"web\",reason=\"{reason}\"}} 1");
        assert!(text.contains(&refused), "{refused} in {text}");
    }
}

/// The line of this request, when it has come.
async fn logged(file: &std::path::Path, id: &str) -> String {
    let read = || {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().find(|line| line.contains(id)).map(str::to_owned)
    };
    crate::support::until("the line", || read().is_some()).await;
    read().unwrap()
}
