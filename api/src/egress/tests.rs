//! The guard, against real sockets on loopback and a resolver of our own.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers each name with its list, one list per question.
struct Names {
    lists: BTreeMap<&'static str, Vec<Vec<&'static str>>>,
    asked: AtomicUsize,
}

impl Lookup for Names {
    fn lookup(&self, name: &str) -> Found {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let found = self.lists.get(name).map(|turns| {
            turns[turn.min(turns.len() - 1)]
                .iter()
                .map(|text| text.parse::<IpAddr>().unwrap())
                .collect()
        });
        Box::pin(async move { found.ok_or_else(|| io::Error::other("no such name")) })
    }
}

fn names(lists: &[(&'static str, &[&[&'static str]])]) -> Arc<Names> {
    Arc::new(Names {
        lists: lists
            .iter()
            .map(|(name, turns)| (*name, turns.iter().map(|t| t.to_vec()).collect()))
            .collect(),
        asked: AtomicUsize::new(0),
    })
}

fn egress(lookup: Arc<Names>) -> Egress {
    Egress::new(EgressOptions {
        lookup,
        max_response: 1000,
        timeout: Duration::from_secs(5),
        ..EgressOptions::default()
    })
    .unwrap()
}

fn get(url: &str, allow_private: bool) -> Request {
    Request {
        method: Method::GET,
        url: Url::parse(url).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout: None,
        allow_private,
    }
}

/// A server that answers every connection with these bytes and closes it. Counts the connections.
async fn server(answer: &'static [u8]) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            let mut seen = [0_u8; 4096];
            let _ = socket.read(&mut seen).await;
            let _ = socket.write_all(answer).await;
            let _ = socket.shutdown().await;
        }
    });
    (port, calls)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_private_upstream_needs_leave() {
    let (port, calls) = server(OK).await;
    let egress = egress(names(&[("inside.test", &[&["127.0.0.1"]])]));
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://inside.test:{port}/"),
    ] {
        let error = egress.send(get(&url, false)).await.unwrap_err();
        assert_eq!(error.kind, EgressFault::Blocked, "{url}");
        assert!(!error.sent);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let answer = egress
        .send(get(&format!("http://inside.test:{port}/"), true))
        .await
        .unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
}

#[tokio::test]
async fn metadata_addresses_are_refused_even_with_leave() {
    let egress = egress(names(&[
        ("meta.test", &[&["169.254.169.254"]]),
        ("meta6.test", &[&["fd00:ec2::254", "fe80::1"]]),
    ]));
    for url in [
        "http://169.254.169.254/latest",
        "http://[::ffff:169.254.169.254]/",
        "http://meta.test/",
        "http://meta6.test/",
        "http://0.0.0.0/",
    ] {
        let error = egress.send(get(url, true)).await.unwrap_err();
        assert_eq!(error.kind, EgressFault::Blocked, "{url}");
    }
}

#[tokio::test]
async fn a_name_is_resolved_once_and_the_vetted_address_is_called() {
    let (port, calls) = server(OK).await;
    // The second answer would be another address: it is never asked for.
    let lookup = names(&[("turn.test", &[&["127.0.0.1"], &["169.254.169.254"]])]);
    let egress = egress(Arc::clone(&lookup));
    egress
        .send(get(&format!("http://turn.test:{port}/"), true))
        .await
        .unwrap();
    assert_eq!(lookup.asked.load(Ordering::SeqCst), 1);
    // A new connection asks anew, and what it gets now is refused.
    let error = egress
        .send(get(&format!("http://turn.test:{port}/"), true))
        .await
        .unwrap_err();
    assert_eq!(error.kind, EgressFault::Blocked);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn forbidden_addresses_of_a_mixed_name_are_left_out() {
    let (port, _) = server(OK).await;
    let egress = egress(names(&[(
        "mixed.test",
        &[&["169.254.169.254", "127.0.0.1"]],
    )]));
    let answer = egress
        .send(get(&format!("http://mixed.test:{port}/"), true))
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn redirects_are_answers() {
    let (port, calls) =
        server(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
            .await;
    let egress = egress(names(&[]));
    let answer = egress
        .send(get(&format!("http://127.0.0.1:{port}/"), true))
        .await
        .unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn only_plain_http_addresses_are_called() {
    let egress = egress(names(&[]));
    for url in [
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://u:p@example.com/",
    ] {
        let error = egress.send(get(url, true)).await.unwrap_err();
        assert_eq!(
            (error.kind, error.sent),
            (EgressFault::Invalid, false),
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_name_without_address_and_a_closed_port_were_not_heard() {
    let egress = egress(names(&[]));
    let error = egress
        .send(get("http://nowhere.test/", true))
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.sent), (EgressFault::Dns, false));
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = egress
        .send(get(&format!("http://127.0.0.1:{port}/"), true))
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.sent), (EgressFault::Connect, false));
}

#[tokio::test]
async fn cut_connections_may_have_been_heard() {
    let egress = egress(names(&[]));
    let (port, _) = server(b"").await;
    let error = egress
        .send(get(&format!("http://127.0.0.1:{port}/"), true))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.sent, error.status),
        (EgressFault::Reset, true, None)
    );
    let (port, _) = server(b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\nhalf").await;
    let error = egress
        .send(get(&format!("http://127.0.0.1:{port}/"), true))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.sent, error.status),
        (EgressFault::Reset, true, Some(201))
    );
}

#[tokio::test]
async fn a_silent_upstream_may_have_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let egress = egress(names(&[]));
    let mut request = get(&format!("http://127.0.0.1:{port}/"), true);
    request.timeout = Some(Duration::from_millis(50));
    let error = egress.send(request).await.unwrap_err();
    assert_eq!((error.kind, error.sent), (EgressFault::Timeout, true));
}

#[tokio::test]
async fn answers_are_read_up_to_the_limit() {
    let egress = egress(names(&[]));
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n";
    let (port, _) = server(announced).await;
    let error = egress
        .send(get(&format!("http://127.0.0.1:{port}/"), true))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.status),
        (EgressFault::TooLarge, Some(200))
    );
    let streamed = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n{0}\r\n1\r\nx\r\n0\r\n\r\n",
        "y".repeat(1000)
    );
    let (port, _) = server(streamed.leak().as_bytes()).await;
    let error = egress
        .send(get(&format!("http://127.0.0.1:{port}/"), true))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.status),
        (EgressFault::TooLarge, Some(200))
    );
}
